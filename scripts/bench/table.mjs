/** Rows as text. */

/** A GitHub table. @param rows those of all measures, in order. */
export function table(rows) {
  const head = [
    'what',
    'ours',
    'peer',
    'ratio',
    'floor / target',
    'CPU ours / peer',
    'memory ours / peer',
    'bytes: wire, disk',
  ];
  const lines = [head, head.map(() => '---'), ...rows.map(cellsOf)];
  return lines.map((cells) => `| ${cells.join(' | ')} |`).join('\n');
}

function cellsOf(row) {
  const { ours, peer } = row;
  const goal = row.floor === undefined ? '' : `${short(row.floor)} / ${short(row.target)}${verdict(row)}`;
  if (row.megabytes !== undefined) {
    return [row.what, seconds(ours), '', '', goal, `${ours.cpuSeconds.toFixed(2)} s`, megabytes(ours.peakBytes), ''];
  }
  if (row.moved !== undefined) {
    const sides = [megabytes(row.moved.ours), `${megabytes(row.moved.peer)} (${peer.name})`];
    return [row.what, ...sides, row.ratio.toFixed(2), goal, '', '', ''];
  }
  return [
    row.what,
    seconds(ours),
    `${seconds(peer)} (${peer.name})`,
    row.ratio.toFixed(2),
    goal,
    `${ours.cpuSeconds.toFixed(2)} / ${peer.cpuSeconds.toFixed(2)} s`,
    ours.peakBytes === 0 ? '' : `${megabytes(ours.peakBytes)} / ${megabytes(peer.peakBytes)}`,
    row.bytes === undefined ? '' : `${megabytes(row.bytes.wire)}, ${megabytes(row.bytes.disk)}`,
  ];
}

/** Whether the row is where it should be. */
function verdict(row) {
  const value = row.megabytes ?? row.ratio;
  return value <= row.target ? ' ✓✓' : value <= row.floor ? ' ✓' : ' ✗';
}

function short(number) {
  return Number(number.toFixed(2)).toString();
}

function seconds(side) {
  return side.seconds < 1 ? `${Math.round(side.seconds * 1000)} ms` : `${side.seconds.toFixed(2)} s`;
}

function megabytes(bytes) {
  return `${Math.round(bytes / 1e6)} MB`;
}
