# scaling.tsv -> an SVG with two panels: speed-up (both axes logarithmic, the ideal dashed) and efficiency, against the number
# of evaluators (ranks x threads). -v title="..."
BEGIN {
  FS = "\t"
  W = 880; H = 400; left = 64; top = 56; side = 330; height = 270; gap = 100; pad = 0.35 # of a doubling, beside the first and last point
  blue = "#1f6f8b"; orange = "#c8553d"; ink = "#333"; faint = "#ddd"
}
NR > 1 { n++; lanes[n] = $1 * $2; speed[n] = $6; eff[n] = $7; if (lanes[n] > most) most = lanes[n]; if (n == 1 || lanes[n] < least) least = lanes[n]; if ($6 > fastest) fastest = $6 }

function log2(v) { return log(v) / log(2) }
function x(v, panel) { return left + panel * (side + gap) + (log2(v) - lo + pad) / (hi - lo + 2 * pad) * side }
function y_speed(v) { return top + height - (log2(v) - lo + pad) / (hi - lo + 2 * pad) * height }
function y_eff(v) { return top + height - v / ceiling * height }
function line(x1, y1, x2, y2, colour, extra) { printf "<line x1='%.1f' y1='%.1f' x2='%.1f' y2='%.1f' stroke='%s' %s/>\n", x1, y1, x2, y2, colour, extra }
function words(px, py, anchor, text) { printf "<text x='%.1f' y='%.1f' text-anchor='%s'>%s</text>\n", px, py, anchor, text }
function safe(text) { gsub(/&/, "\\&amp;", text); gsub(/</, "\\&lt;", text); return text }

function curve(panel, colour,   i, points, py) {
  for (i = 1; i <= n; i++) points = points sprintf("%.1f,%.1f ", x(lanes[i], panel), panel ? y_eff(eff[i]) : y_speed(speed[i]))
  printf "<polyline points='%s' fill='none' stroke='%s' stroke-width='2'/>\n", points, colour
  for (i = 1; i <= n; i++) {
    py = panel ? y_eff(eff[i]) : y_speed(speed[i])
    printf "<circle cx='%.1f' cy='%.1f' r='4' fill='%s'><title>%s</title></circle>\n", x(lanes[i], panel), py, colour, panel ? eff[i] : speed[i]
    words(x(lanes[i], panel) + (panel ? 0 : 8), py + (panel ? 20 : 16), panel ? "middle" : "start", panel ? sprintf("%.0f%%", 100 * eff[i]) : speed[i])
  }
}

function frame(panel, name,   v, px) {
  px = left + panel * (side + gap)
  printf "<text x='%.1f' y='%.1f' font-weight='bold'>%s</text>\n", px, top - 12, name
  for (v = 2 ^ lo; v <= 2 ^ hi * 1.001; v *= 2) {
    line(x(v, panel), top, x(v, panel), top + height, faint, "")
    words(x(v, panel), top + height + 18, "middle", v)
  }
  printf "<rect x='%.1f' y='%.1f' width='%d' height='%d' fill='none' stroke='%s'/>\n", px, top, side, height, ink
  words(px + side / 2, top + height + 40, "middle", "ranks x threads")
}

END {
  if (!n) { print "plot.awk: no rows" > "/dev/stderr"; exit 1 }
  lo = int(log2(least) + 1e-9); hi = log2(most > fastest ? most : fastest); hi = hi > int(hi) + 1e-9 ? int(hi) + 1 : int(hi)
  if (hi == lo) hi = lo + 1
  ceiling = 1.2; for (i = 1; i <= n; i++) if (eff[i] * 1.1 > ceiling) ceiling = eff[i] * 1.1
  printf "<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 %d %d' width='%d' height='%d' font-family='sans-serif' font-size='13' fill='%s'>\n", W, H, W, H, ink
  printf "<rect width='%d' height='%d' fill='white'/>\n", W, H
  printf "<text x='%d' y='22' font-size='16'>%s</text>\n", left, safe(title)

  frame(0, "speed-up")
  for (v = 2 ^ lo; v <= 2 ^ hi * 1.001; v *= 2) { line(left, y_speed(v), left + side, y_speed(v), faint, ""); words(left - 8, y_speed(v) + 4, "end", v) }
  line(x(2 ^ lo, 0), y_speed(2 ^ lo), x(2 ^ hi, 0), y_speed(2 ^ hi), "#888", "stroke-dasharray='5 4'")
  words(x(2 ^ hi, 0) - 10, y_speed(2 ^ hi) + 2, "end", "ideal")
  curve(0, blue)

  frame(1, "efficiency")
  for (v = 0; v <= ceiling; v += 0.2) {
    line(left + side + gap, y_eff(v), left + 2 * side + gap, y_eff(v), faint, "")
    words(left + side + gap - 8, y_eff(v) + 4, "end", sprintf("%d%%", 100 * v + .5))
  }
  line(x(2 ^ lo, 1), y_eff(1), x(2 ^ hi, 1), y_eff(1), "#888", "stroke-dasharray='5 4'")
  curve(1, orange)
  print "</svg>"
}
