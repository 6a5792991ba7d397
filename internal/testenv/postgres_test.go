package testenv_test

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"syscall"
	"testing"

	"circle15.dev/internal/testenv"
)

// childEnv makes this binary's test act as a test process that ends badly, in the way that the variable names.
const childEnv = "TESTENV_TEST_CHILD"

func TestTheServerEndsWithTheTestProcess(t *testing.T) {
	if way := os.Getenv(childEnv); way != "" {
		s := testenv.Postgres(t)
		fmt.Println("server", s.PID(), s.SocketDir())
		switch way {
		case "exit":
			os.Exit(3)
		case "panic":
			panic("as told")
		default:
			select {}
		}
	}
	for _, way := range []string{"exit", "panic", "kill"} {
		t.Run(way, func(t *testing.T) {
			cmd := exec.Command(os.Args[0], "-test.run", "^TestTheServerEndsWithTheTestProcess$")
			cmd.Env = append(os.Environ(), childEnv+"="+way)
			out, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			var pid int
			var socketDir string
			line, err := bufio.NewReader(out).ReadString('\n')
			if err != nil {
				t.Fatal(err)
			}
			if _, err := fmt.Sscanf(line, "server %d %s", &pid, &socketDir); err != nil {
				t.Fatalf("%v in %q", err, line)
			}
			if way == "kill" {
				if err := cmd.Process.Kill(); err != nil {
					t.Fatal(err)
				}
			}
			_ = cmd.Wait()
			testenv.Await(t, "the server's end", func() bool { return errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) })
			testenv.Await(t, "the removal of its files", func() bool {
				_, err := os.Stat(socketDir)
				return errors.Is(err, fs.ErrNotExist)
			})
		})
	}
}

func TestTwoTenantsOfATestDifferInNameAndDivision(t *testing.T) {
	p := testenv.Provisioned(t).Provisioner
	one, err := p.Show(t.Context(), testenv.NewTenant(t))
	if err != nil {
		t.Fatal(err)
	}
	other, err := p.Show(t.Context(), testenv.NewTenant(t))
	if err != nil {
		t.Fatal(err)
	}
	if one.Name == other.Name || one.DivisionCode == other.DivisionCode {
		t.Errorf("%s %s and %s %s", one.Name, one.DivisionCode, other.Name, other.DivisionCode)
	}
}
