package demo

import (
	"fmt"
	"io"
	"os"
	"sync/atomic"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"
)

// ShowProgress shows the import of that many requests: a bar on a terminal, a line for each phase elsewhere.
func ShowProgress(w io.Writer, requests int) Progress {
	if f, ok := w.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		return &bar{progressbar.NewOptions(requests,
			progressbar.OptionSetWriter(w),
			progressbar.OptionSetWidth(30),
			progressbar.OptionShowCount(),
			progressbar.OptionThrottle(100*time.Millisecond),
			progressbar.OptionClearOnFinish(),
		)}
	}
	return &lines{w: w}
}

type bar struct{ *progressbar.ProgressBar }

func (b *bar) Begin(phase string, _ int) { b.Describe(fmt.Sprintf("  %-26s", phase)) }
func (b *bar) Done()                     { _ = b.Add(1) }
func (b *bar) End()                      { _ = b.Exit() }

// lines prints a line when a phase is over.
type lines struct {
	w      io.Writer
	phase  string
	total  int
	done   atomic.Int64
	begun  time.Time
	active bool
}

func (l *lines) Begin(phase string, requests int) {
	l.End()
	l.phase, l.total, l.begun, l.active = phase, requests, time.Now(), true
	l.done.Store(0)
}

func (l *lines) Done() { l.done.Add(1) }

func (l *lines) End() {
	if l.active {
		_, _ = fmt.Fprintf(l.w, "  %-26s %5d of %5d requests, %.1f s\n", l.phase, l.done.Load(), l.total, time.Since(l.begun).Seconds())
	}
	l.active = false
}
