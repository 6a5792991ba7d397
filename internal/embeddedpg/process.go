package embeddedpg

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"time"
)

// process is the postmaster, and the operating-system thread that started it.
type process struct {
	pid  int
	cmd  *exec.Cmd
	done chan struct{} // closed after err is set
	err  error
}

// startProcess starts cmd on a thread of its own that lives as long as the process: the parent-death signal is tied to
// the thread that started the child, and Go may end any other thread.
func startProcess(cmd *exec.Cmd) (*process, error) {
	p := &process{cmd: cmd, done: make(chan struct{})}
	started := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		if err == nil {
			p.pid = cmd.Process.Pid
		}
		started <- err
		if err == nil {
			p.err = cmd.Wait()
			close(p.done)
		}
	}()
	if err := <-started; err != nil {
		return nil, err
	}
	return p, nil
}

// stop asks for a fast shutdown, then for an immediate one, then kills; it returns when the process is gone.
func (p *process) stop(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, stopLimit)
	defer cancel()
	_ = p.cmd.Process.Signal(syscall.SIGINT)
	select {
	case <-p.done:
		return
	case <-ctx.Done():
	}
	_ = p.cmd.Process.Signal(syscall.SIGQUIT)
	select {
	case <-p.done:
		return
	case <-time.After(5 * time.Second):
	}
	_ = p.cmd.Process.Kill()
	<-p.done
}

// stopError is the error of a server that did not end well.
func (p *process) stopError() error {
	if _, ok := errors.AsType[*exec.ExitError](p.err); ok {
		return errors.New("PostgreSQL did not shut down cleanly; the next start will recover its data")
	}
	return p.err
}

func alive(pid int) bool {
	return syscall.Kill(pid, 0) == nil || errors.Is(syscall.Kill(pid, 0), syscall.EPERM)
}

// serverEnvironment is free of PG* variables and of the parent's locale, which would change what the server does.
func serverEnvironment() []string {
	environment := []string{"LC_ALL=C", "PATH=" + os.Getenv("PATH")}
	if zone, set := os.LookupEnv("TZ"); set {
		environment = append(environment, "TZ="+zone)
	}
	return environment
}
