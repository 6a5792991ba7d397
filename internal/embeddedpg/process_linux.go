package embeddedpg

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

// serverAttributes puts the server into its own process group, so that Ctrl-C reaches only its parent, which drains
// first; and asks the kernel for a fast shutdown of the server when its parent dies.
func serverAttributes(who account) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGINT, Credential: who.credential()}
}

// isServerOf says whether the process pid is a server of the data folder: a postmaster's working folder is its data.
func isServerOf(pid int, data string) bool {
	cwd, err := os.Readlink(fmt.Sprintf("/proc/%d/cwd", pid))
	if err != nil {
		return false
	}
	resolved, err := filepath.EvalSymlinks(data)
	return err == nil && cwd == resolved
}

// throughDescriptor is a path to an open folder that needs no right to enter its parents: the kernel follows it
// straight to the folder. fd is the descriptor's number in the child.
func throughDescriptor(fd int) (string, bool) {
	if _, err := os.Stat("/proc/self/fd"); err != nil {
		return "", false
	}
	return fmt.Sprintf("/proc/self/fd/%d", fd), true
}
