//! Figures as people read them.

/// Now, RFC 3339 in UTC with milliseconds.
pub fn now() -> String {
    jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()
}

/// "4.21 s", "3 min 07 s", "2 h 05 min".
pub fn duration(seconds: f64) -> String {
    let whole = seconds.round() as u64;
    match seconds {
        s if !s.is_finite() || s < 0.0 => "?".to_string(),
        s if s < 99.95 => format!("{} s", significant(s, 3)),
        s if s < 3599.5 => format!("{} min {:02} s", whole / 60, whole % 60),
        _ => format!("{} h {:02} min", whole / 3600, whole / 60 % 60),
    }
}

/// "0:03:07".
pub fn clock(seconds: f64) -> String {
    let whole = seconds as u64;
    format!("{}:{:02}:{:02}", whole / 3600, whole / 60 % 60, whole % 60)
}

/// `n` with narrow groups of three: "27 100".
pub fn count(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::new();
    for (i, c) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(' ');
        }
        out.push(c);
    }
    out
}

/// At least `digits` significant digits, in plain notation where that is short.
pub fn significant(x: f64, digits: usize) -> String {
    if !x.is_finite() {
        return x.to_string();
    }
    let digits = digits.max(1);
    let rounded = format!("{:.*e}", digits - 1, x);
    let exponent: i32 = rounded.split_once('e').and_then(|(_, e)| e.parse().ok()).unwrap_or(0);
    if x == 0.0 {
        "0".to_string()
    } else if (-4..9).contains(&exponent) {
        format!("{:.*}", (digits as i32 - 1 - exponent).max(0) as usize, x)
    } else {
        rounded
    }
}

/// A counter as an integer, anything else to four digits.
pub fn plain(x: f64) -> String {
    if x.fract() == 0.0 && x.abs() < 1e15 { format!("{x:.0}") } else { significant(x, 4) }
}

/// `x` to the second significant digit of `scale` (its error, say), so that columns show what is known and no more.
pub fn to_scale(x: f64, scale: f64) -> String {
    if !x.is_finite() || !scale.is_finite() || scale <= 0.0 {
        return significant(x, 6);
    }
    let decimals = 1 - scale.log10().floor() as i32;
    // A value far above or below plain notation: as many digits as reach down to the scale.
    if !(-6..=8).contains(&decimals) || x.abs() >= 1e9 {
        let reach = if x == 0.0 { 1 } else { x.abs().log10().floor() as i32 + decimals + 1 };
        return significant(x, reach.clamp(2, 17) as usize);
    }
    format!("{:.*}", decimals.max(0) as usize, x)
}

/// "12.3%"; "?" where it cannot be told.
pub fn percent(share: f64) -> String {
    if share.is_finite() { format!("{:.1}%", 100.0 * share) } else { "?".to_string() }
}

/// Rows as aligned columns: the first to the left, the others to the right, two spaces between.
pub fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |j: usize| rows.iter().filter_map(|r| r.get(j)).map(|cell| cell.chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut out = String::new();
    for row in rows {
        let mut line = String::new();
        for (j, cell) in row.iter().enumerate() {
            let padding = " ".repeat(widths[j] - cell.chars().count());
            match j {
                0 => line.push_str(&format!("{cell}{padding}")),
                _ => line.push_str(&format!("  {padding}{cell}")),
            }
        }
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out
}

/// A point by name: "alpha = 0.5, beta = 0.02".
pub fn point(names: &[String], theta: &[f64]) -> String {
    let pairs: Vec<String> = names.iter().zip(theta).map(|(name, x)| format!("{name} = {}", significant(*x, 6))).collect();
    pairs.join(", ")
}
