# runs.tsv (ranks threads n_like wall_s sampler_s busy_fraction digest) -> scaling.tsv: speed-up and efficiency against the
# first row. With an artificial delay (ms), also n_like x delay / wall: how many ranks' worth of pure likelihood time
# each second of the run delivered.
BEGIN { FS = OFS = "\t" }
NR == 1 { print "ranks", "threads", "n_like", "wall s", "sampler s", "speed-up", "efficiency", "busy", "n_like x delay / wall", "digest"; next }
{
  lanes = $1 * $2
  if (NR == 2) { lanes1 = lanes; wall1 = $4 }
  speedup = lanes1 * wall1 / $4
  print $1, $2, $3, sprintf("%.2f", $4), sprintf("%.2f", $5), sprintf("%.2f", speedup), sprintf("%.3f", speedup / lanes), \
    sprintf("%.3f", $6), (delay == "" ? "-" : sprintf("%.2f", $3 * delay / 1000 / $4)), substr($7, 1, 12)
}
