package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

// stops turns the signals that ask the process to stop (SIGTERM, SIGINT) into the ends of what it does: the first ends ctx,
// the second closes hurry, and one more ends the process, as it would without this.
func stops(parent context.Context) (ctx context.Context, hurry <-chan struct{}, release func()) {
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGTERM, os.Interrupt)
	ctx, cancel := context.WithCancel(parent)
	second, released := make(chan struct{}), make(chan struct{})
	go func() {
		defer signal.Stop(signals)
		for _, end := range []func(){cancel, func() { close(second) }} {
			select {
			case <-signals:
				end()
			case <-released:
				return
			}
		}
	}()
	return ctx, second, func() {
		cancel()
		close(released)
	}
}
