package main

import (
	"os"
	"os/signal"
	"syscall"
	"testing"
)

func TestTheFirstSignalStopsAndTheSecondHurries(t *testing.T) {
	// Signals reach this process as well once stops has let go of them.
	caught := make(chan os.Signal, 8)
	signal.Notify(caught, syscall.SIGTERM, os.Interrupt)
	defer signal.Stop(caught)
	for _, order := range [][2]syscall.Signal{{syscall.SIGTERM, syscall.SIGTERM}, {syscall.SIGINT, syscall.SIGTERM}} {
		ctx, hurry, release := stops(t.Context())
		send(t, order[0])
		<-ctx.Done()
		select {
		case <-hurry:
			t.Error("the first signal hurries")
		default:
		}
		send(t, order[1])
		<-hurry
		release()
	}
}

func send(t *testing.T, s syscall.Signal) {
	t.Helper()
	if err := syscall.Kill(os.Getpid(), s); err != nil {
		t.Fatal(err)
	}
}

func TestAReleasedStopWaitsForNoSignal(t *testing.T) {
	ctx, hurry, release := stops(t.Context())
	release()
	<-ctx.Done()
	select {
	case <-hurry:
		t.Error("the release hurries")
	default:
	}
}
