// Places of boxes, edges and labels in the drawing of a net.

const ROW = 18, PAD = 6, UNIT = 124, BETWEEN = 20, GAP = 150, TO_COST = 46, DOWN = 92, NAME = 22;

// Places: layers from left to right, or from above to below in a narrow window.
function places(layers, down) {
  const height = (unit) => unit.length * ROW + 2 * PAD;
  const tallest = layers.map(({ units }) => Math.max(...units.map(height)));
  const counts = layers.slice(0, -2).map(({ units: { length: sources } }, layer) => {
    const targets = layers[layer + 1].units.length;
    return Math.max(sources, targets) * (Math.min(sources, targets) + 1); // distances between labels, as `share` places them
  });
  const [room, most] = down ? [50, 6] : [19, 24]; // for a label, across; and how many of them may make the drawing larger
  const across = Math.max(down ? 300 : 150, ...counts.filter((count) => count <= most).map((count) => count * room),
    ...layers.map(({ units }, layer) => units.length * ((down ? UNIT : tallest[layer]) + BETWEEN)));
  const crowded = counts.map((count) => across / count < room);
  let along = 0;
  const boxes = layers.map(({ units }, layer) => {
    const start = along;
    const gap = layer === layers.length - 2 ? TO_COST : down ? DOWN : GAP;
    along += (down ? tallest[layer] + NAME : UNIT) + gap;
    return units.map((unit, index) => {
      const middle = (across * (index + 0.5)) / units.length, h = height(unit);
      return down
        ? { x: middle - UNIT / 2, y: start + NAME, w: UNIT, h }
        : { x: start, y: NAME + middle - h / 2, w: UNIT, h };
    });
  });
  const length = along - (down ? DOWN : GAP);
  return { layers, down, boxes, crowded, width: (down ? across : length) + 2, height: (down ? length : across + NAME) + 2 };
}

// Ends of the line between two boxes, in the direction of the numbers.
function ends(layout, from, to) {
  const [a, b] = [layout.boxes[from[0]][from[1]], layout.boxes[to[0]][to[1]]];
  const ahead = from[0] < to[0];
  const at = (box, after) => layout.down
    ? [box.x + box.w / 2, box.y + (after ? box.h : 0)]
    : [box.x + (after ? box.w : 0), box.y + box.h / 2];
  return [at(a, ahead), at(b, !ahead)];
}
const between = ([[x, y], [toX, toY]], share) => [x + (toX - x) * share, y + (toY - y) * share];

// Where the label of an edge stands, as a share of its length, so that those of all edges are evenly apart; downward, the
// labels of every second unit stand in a row of their own. Of crowded edges, few are labeled at once.
function share({ layers, crowded, down }, from, to) {
  const [sources, targets] = [layers[from[0]].units.length, layers[to[0]].units.length];
  if (crowded[from[0]]) return 0.3;
  if (sources > targets) return Math.min(0.75, targets / (targets + 1));
  return Math.max(0.2, 1 / (sources + 1)) + (down && to[1] % 2 ? 0.25 : 0);
}
