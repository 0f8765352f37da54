import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { allowedFrom, parseQuietHours, quietFrom } from '../../src/prefetch/quiet-hours.ts';

/** A time of a day in June, by the clock of this machine. */
const at = (time: string, day = 15): Date => {
  const [hour = 0, minute = 0] = time.split(':').map(Number);
  return new Date(2026, 5, day, hour, minute);
};
const window = (text: string) => {
  const parsed = parseQuietHours(text);
  if (parsed === undefined) throw new Error(`${text} is no window`);
  return parsed;
};

describe('quiet hours', () => {
  it.each([
    ['08:00-18:00', { from: 480, to: 1080 }],
    ['8:00-18:00', { from: 480, to: 1080 }],
    ['22:00-06:30', { from: 1320, to: 390 }],
    ['20:00-24:00', { from: 1200, to: 0 }],
    ['00:00-06:00', { from: 0, to: 360 }],
  ])('%s are read', (text, hours) => {
    expect(parseQuietHours(text)).toEqual(hours);
  });

  it.each(['', '8-18', '08:00', '08:60-09:00', '25:00-26:00', '24:00-06:00', '08:00-08:00', '00:00-24:00', 'night'])(
    '%j are none',
    (text) => {
      expect(parseQuietHours(text)).toBeUndefined();
    },
  );

  it.each([
    ['before them', ['08:00-18:00'], '07:59', at('07:59')],
    ['at their beginning', ['08:00-18:00'], '08:00', at('18:00')],
    ['at their end', ['08:00-18:00'], '18:00', at('18:00')],
    ['before midnight, across it', ['22:00-06:00'], '23:00', at('06:00', 16)],
    ['after midnight, across it', ['22:00-06:00'], '03:00', at('06:00')],
    ['where one follows the other', ['08:00-12:00', '12:00-18:00'], '09:00', at('18:00')],
    ['where they overlap across midnight', ['20:00-02:00', '01:00-05:00'], '21:00', at('05:00', 16)],
  ])('%s', (_, windows, now, from) => {
    expect(allowedFrom(at(now), windows.map(window))).toEqual(from);
  });

  it('that leave no minute of the day are never over', () => {
    expect(allowedFrom(at('09:00'), ['00:00-12:00', '12:00-24:00'].map(window))).toBeUndefined();
  });

  it('begin next at the first of their beginnings', () => {
    const windows = ['08:00-18:00', '22:00-06:00'].map(window);
    expect(quietFrom(at('19:00'), windows)).toEqual(at('22:00'));
    expect(quietFrom(at('06:00', 16), windows)).toEqual(at('08:00', 16));
    expect(quietFrom(at('07:00'), [])).toBeUndefined();
  });

  it.each([
    // On 2026-10-25 the hour from 02:00 on comes twice in Berlin; on 2026-03-29 it does not come.
    ['in an hour that comes twice, the second time', '22:00-02:30', '2026-10-25T01:15Z', '2026-10-25T01:30Z'],
    ['whose end the clock passes over', '22:00-02:30', '2026-03-29T00:30Z', '2026-03-29T01:00Z'],
    ['on the long day', '00:00-23:00', '2026-10-24T22:00Z', '2026-10-25T22:00Z'],
  ])('%s, end by the clock on the wall', (_, text, now, from) => {
    onTestFinished(() => void vi.unstubAllEnvs());
    vi.stubEnv('TZ', 'Europe/Berlin');
    expect(new Date(now).getTimezoneOffset()).not.toBe(0);
    expect(allowedFrom(new Date(now), [window(text)])).toEqual(new Date(from));
  });
});
