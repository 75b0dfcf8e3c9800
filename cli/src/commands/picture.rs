//! Bars: how much of something is what.

const WIDTH: u64 = 30;

/// The letters that a bar is drawn with: what lives, what is dead, what is left.
#[derive(Debug, Clone, Copy)]
pub struct Palette {
    live: char,
    dead: char,
    rest: char,
}

impl Palette {
    /// Blocks on a terminal, plain letters elsewhere.
    pub fn of(is_watched: bool) -> Palette {
        if is_watched {
            return Palette {
                live: '█',
                dead: '░',
                rest: ' ',
            };
        }
        Palette {
            live: '#',
            dead: '.',
            rest: ' ',
        }
    }

    /// `[####..    ]`: what is there at all has a letter at least, and both together never more than the bar.
    pub fn bar(&self, live: u64, dead: u64, whole: u64) -> String {
        let whole = whole.max(live.saturating_add(dead)).max(1);
        let cells = |bytes: u64| {
            let cells = u128::from(bytes) * u128::from(WIDTH) / u128::from(whole);
            u64::try_from(cells).unwrap_or(WIDTH)
        };
        let mut live_cells = cells(live).max(u64::from(live > 0));
        let dead_cells = cells(dead).max(u64::from(dead > 0));
        live_cells = live_cells.min(WIDTH - dead_cells);
        let mut bar = String::from("[");
        let mut put = |letter: char, count: u64| (0..count).for_each(|_| bar.push(letter));
        put(self.live, live_cells);
        put(self.dead, dead_cells);
        put(self.rest, WIDTH - live_cells - dead_cells);
        bar.push(']');
        bar
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_shows_whatever_is_there_and_never_more_than_fits() {
        let palette = Palette::of(false);
        let cells = |bar: &str, letter: char| bar.chars().filter(|each| *each == letter).count();
        for (live, dead, whole, shown) in [
            (0, 0, 0, (0, 0)),
            (1, 0, 1_000_000, (1, 0)),
            (0, 1, 1_000_000, (0, 1)),
            (15, 15, 30, (15, 15)),
            (1_000_000, 1, 1_000_001, (29, 1)),
            (u64::MAX, u64::MAX, u64::MAX, (0, 30)),
            (60, 0, 30, (30, 0)),
        ] {
            let bar = palette.bar(live, dead, whole);
            assert_eq!(bar.chars().count(), 32, "{bar}");
            assert_eq!(
                (cells(&bar, '#'), cells(&bar, '.')),
                shown,
                "{live} {dead} of {whole}: {bar}"
            );
        }
    }
}
