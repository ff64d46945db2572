//! The live table on a terminal: redrawn twice a second, worst targets first, no higher than the terminal.
//!
//! A separate thread draws the frames. A frame that the thread cannot take at once is dropped: a terminal that is
//! stopped must not delay probes. The last frame restores the cursor.

use super::{
    observe::{Observer, arrivals_line},
    targets::Targets,
};
use crate::{Lang, render};
use pingtong_probe::{Sweep, Tally};
use std::{
    cmp::Reverse,
    fmt::Write as _,
    sync::mpsc::{Receiver, SyncSender, sync_channel},
    thread::JoinHandle,
    time::Duration,
};
use terminal_size::{Height, Width, terminal_size};

/// Interval between two frames.
const FRAME: Duration = Duration::from_millis(500);
/// Lines besides the targets: the heading, the total, and the one with the cursor.
const LINES_BESIDE: usize = 3;
const HIDE_CURSOR: &str = "\x1b[?25l";
const SHOW_CURSOR: &str = "\x1b[?25h";

/// The live table.
#[derive(Debug)]
pub(super) struct Live {
    lang: Lang,
    next: Duration,
    frames: Option<SyncSender<String>>,
    painter: Option<JoinHandle<()>>,
    /// Lines of the last frame, and the size of the terminal that it was drawn for.
    drawn: usize,
    size: (usize, usize),
}

impl Live {
    /// Starts the drawing thread; `None` if there is no terminal to draw on.
    pub(super) fn start(lang: Lang) -> Option<Self> {
        let size = size()?;
        let (frames, inbox) = sync_channel(1);
        let painter = std::thread::Builder::new().name("table".into()).spawn(move || paint(&inbox)).ok()?;
        Some(Self { lang, next: Duration::ZERO, frames: Some(frames), painter: Some(painter), drawn: 0, size })
    }

    pub(super) fn is_due(&self, now: Duration) -> bool {
        now >= self.next
    }

    /// Builds a frame and offers it to the drawing thread.
    pub(super) fn show(
        &mut self,
        now: Duration,
        passed: Duration,
        sweep: &Sweep,
        targets: &Targets,
        observer: Option<&Observer>,
    ) {
        self.next = now + FRAME;
        let size = size().unwrap_or(self.size);
        let lines = lines(size, passed, sweep, targets, observer, self.lang);
        let mut frame = String::from(HIDE_CURSOR);
        if size != self.size {
            // The terminal may have re-wrapped the lines of the last frame, so that their position is unknown.
            frame.push_str("\x1b[2J\x1b[H");
        } else if self.drawn > 0 {
            let _ = write!(frame, "\x1b[{}A\r", self.drawn);
        }
        for line in &lines {
            let _ = write!(frame, "{}\x1b[K\r\n", cut(line, size.0));
        }
        frame.push_str("\x1b[J");
        if let Some(frames) = &self.frames
            && frames.try_send(frame).is_ok()
        {
            (self.drawn, self.size) = (lines.len(), size);
        }
    }

    /// Shows the cursor again while the process is stopped.
    pub(super) fn rest(&mut self) {
        self.next = Duration::ZERO;
        self.drawn = 0;
        if let Some(frames) = &self.frames {
            let _ = frames.send(String::from(SHOW_CURSOR));
            // This returns once the previous frame was taken: the channel holds one frame.
            let _ = frames.send(String::new());
        }
    }

    /// Removes the table and restores the terminal.
    pub(super) fn end(mut self) {
        let mut frame = String::new();
        if self.drawn > 0 {
            let _ = write!(frame, "\x1b[{}A\r\x1b[J", self.drawn);
        }
        frame.push_str(SHOW_CURSOR);
        if let Some(frames) = self.frames.take() {
            let _ = frames.send(frame);
        }
        if let Some(painter) = self.painter.take() {
            let _ = painter.join();
        }
    }
}

fn paint(frames: &Receiver<String>) {
    while let Ok(frame) = frames.recv() {
        if render::frame(&frame).is_err() {
            return;
        }
    }
}

fn size() -> Option<(usize, usize)> {
    let (Width(width), Height(height)) = terminal_size()?;
    Some((width.into(), height.into()))
}

fn lines(
    (_, height): (usize, usize),
    passed: Duration,
    sweep: &Sweep,
    targets: &Targets,
    observer: Option<&Observer>,
    lang: Lang,
) -> Vec<String> {
    let mut lines = vec![];
    let room = height.saturating_sub(LINES_BESIDE);
    let count = sweep.targets().len();
    if count > 0 {
        let titles = lang.pick(
            "目标 发送 收到 丢失% 迟到 重复 错误 p50/ms p99/ms 最大/ms",
            "target sent received lost% late dup errors p50/ms p99/ms max/ms",
        );
        lines.push(columns(titles.split(' ').map(str::to_owned)));
        let shown = if observer.is_some() { room / 2 } else { room };
        lines.extend(worst(sweep, shown).into_iter().map(|target| row(sweep, targets, target)));
        let total = sweep.total();
        let hidden = count.saturating_sub(shown);
        lines.push(format!(
            "{:.1} s  {} {} / {} {} / {} {} / {} {}{}",
            passed.as_secs_f64(),
            lang.pick("发送", "sent"),
            total.sent,
            lang.pick("收到", "received"),
            total.received,
            lang.pick("丢失", "lost"),
            total.lost,
            lang.pick("在途", "on their way"),
            total.open,
            match (hidden, lang) {
                (0, _) => String::new(),
                (_, Lang::Zh) => format!("  （另有 {hidden} 个较好的目标未显示）"),
                (_, Lang::En) => format!("  ({hidden} better targets not shown)"),
            }
        ));
    }
    if let Some(observer) = observer {
        let room = height.saturating_sub(lines.len() + LINES_BESIDE);
        let mut rows: Vec<_> = observer.rows().collect();
        rows.sort_by_key(|(_, row)| Reverse(row.on_wire.max(row.accepted)));
        lines.extend(rows.iter().take(room).map(|(source, row)| {
            let source = source.map_or_else(|| lang.pick("其他来源", "other sources").to_owned(), |a| a.to_string());
            arrivals_line(&source, *row, lang)
        }));
        lines.push(arrivals_line(lang.pick("到达合计", "arrived in all"), observer.total(), lang));
    }
    lines
}

/// Indexes of the worst targets, the worst first; ties keep the order in which they were given.
fn worst(sweep: &Sweep, count: usize) -> Vec<usize> {
    let badness = |tally: Tally| {
        let bad = tally.lost + tally.refused + tally.late;
        let decided = (bad + tally.received).max(1);
        // In parts per million, so that it can be sorted.
        (bad.saturating_mul(1_000_000) / decided, tally.duplicates)
    };
    let mut all: Vec<(Reverse<(u64, u64)>, usize)> = (0..sweep.targets().len())
        .filter_map(|target| Some((Reverse(badness(sweep.tally(target)?)), target)))
        .collect();
    if count < all.len() && count > 0 {
        all.select_nth_unstable(count - 1);
    }
    all.truncate(count);
    all.sort_unstable();
    all.into_iter().map(|(_, target)| target).collect()
}

fn row(sweep: &Sweep, targets: &Targets, target: usize) -> String {
    let Some(figures) = sweep.figures(target) else { return String::new() };
    let tally = figures.tally;
    let ms =
        |time: Option<Duration>| time.map_or_else(|| String::from("-"), |t| format!("{:.3}", t.as_secs_f64() * 1e3));
    let errors: u64 = sweep.errors_of(target).iter().map(|error| error.count).sum();
    let name = targets.names.get(&target).cloned().unwrap_or_else(|| figures.address.to_string());
    columns(
        [
            name,
            tally.sent.to_string(),
            tally.received.to_string(),
            tally.loss().map_or_else(|| String::from("-"), |loss| format!("{:.2}", loss.rate * 100.0)),
            tally.late.to_string(),
            tally.duplicates.to_string(),
            errors.to_string(),
            ms(figures.rtt.map(|rtt| rtt.p50)),
            ms(figures.rtt.map(|rtt| rtt.p99)),
            ms(figures.rtt.map(|rtt| rtt.max)),
        ]
        .into_iter(),
    )
}

fn columns(cells: impl Iterator<Item = String>) -> String {
    let mut line = String::new();
    for (at, cell) in cells.enumerate() {
        let fill = (if at == 0 { 24usize } else { 9 }).saturating_sub(cell.chars().map(width).sum());
        if at == 0 {
            let _ = write!(line, "{cell}{:fill$}", "");
        } else {
            let _ = write!(line, " {:fill$}{cell}", "");
        }
    }
    line
}

/// Cells that a character takes on a terminal: Chinese characters take two.
fn width(sign: char) -> usize {
    if sign >= '\u{1100}' { 2 } else { 1 }
}

fn cut(line: &str, room: usize) -> &str {
    let mut used = 0;
    for (at, sign) in line.char_indices() {
        used += width(sign);
        if used > room {
            return &line[..at];
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_cut_by_cells_and_never_within_a_sign() {
        assert_eq!(cut("abc", 3), "abc");
        assert_eq!(cut("目标ab", 4), "目标");
        assert_eq!(cut("目标ab", 3), "目");
        assert_eq!(cut("a", 0), "");
    }

    #[test]
    fn headings_of_both_languages_take_the_same_cells() {
        let cells = |titles: &str| columns(titles.split(' ').map(str::to_owned)).chars().map(width).sum::<usize>();
        assert_eq!(cells("目标 发送"), cells("target sent"));
    }
}
