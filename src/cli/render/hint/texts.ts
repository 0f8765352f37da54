/** The words for each hint of an area. */
export type HintTexts<Area> = { readonly [Kind in keyof Area]: (hint: Area[Kind]) => string };
