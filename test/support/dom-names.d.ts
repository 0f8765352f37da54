/*
 * Names of the DOM that the types of playwright-core mention. The library of the DOM itself would make `document` and a
 * hundred other globals of browsers known to all of `src`, where there are none.
 */
interface Node {}
interface HTMLElement extends Node {}
interface SVGElement extends Node {}
interface HTMLElementTagNameMap {}
