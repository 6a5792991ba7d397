// Command dev is what a development image holds beside the platform, so that Tilt can replace the binary in a running
// container: the image has neither a shell nor tar. It is two programs in one, told apart by its name.
//
//	tar ARGS…                      unpack the archive on standard input below the folder after -C (as Tilt calls it)
//	rerun NEW OLD ARGS…            run NEW if it is there, else OLD; run it again whenever NEW changes
package main

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"syscall"
	"time"
)

func main() {
	var err error
	switch filepath.Base(os.Args[0]) {
	case "tar":
		err = unpack(os.Stdin, folderOf(os.Args[1:]))
	default:
		if len(os.Args) < 3 {
			err = errors.New("usage: rerun NEW OLD ARGS…")
		} else {
			err = rerun(os.Args[1], os.Args[2], os.Args[3:])
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, filepath.Base(os.Args[0])+":", err)
		os.Exit(1)
	}
}

func folderOf(args []string) string {
	if i := slices.Index(args, "-C"); i >= 0 && i+1 < len(args) {
		return args[i+1]
	}
	return "/"
}

// unpack writes each file beside its place and renames it there, because a running program cannot be written over.
func unpack(archive io.Reader, folder string) error {
	root, err := os.OpenRoot(folder)
	if err != nil {
		return err
	}
	defer func() { _ = root.Close() }()
	for reader := tar.NewReader(archive); ; {
		header, err := reader.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if header.Typeflag != tar.TypeReg {
			continue
		}
		name := filepath.Clean("./" + header.Name)
		if err := write(root, name, header.FileInfo().Mode().Perm(), reader); err != nil {
			return err
		}
	}
}

func write(root *os.Root, name string, mode fs.FileMode, content io.Reader) error {
	beside := name + ".new"
	file, err := root.OpenFile(beside, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, mode)
	if err != nil {
		return err
	}
	_, err = io.Copy(file, content)
	return errors.Join(err, file.Close(), root.Rename(beside, name))
}

// rerun ends when the program ends by itself, or with it on SIGTERM.
func rerun(newer, older string, args []string) error {
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM, os.Interrupt)
	tick := time.NewTicker(200 * time.Millisecond)
	for {
		program := older
		if _, err := os.Stat(newer); err == nil {
			program = newer
		}
		began := stamp(newer)
		cmd := exec.Command(program, args...)
		cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
		if err := cmd.Start(); err != nil {
			return err
		}
		ended := make(chan error, 1)
		go func() { ended <- cmd.Wait() }()
		for changed := false; !changed; {
			select {
			case err := <-ended:
				return err
			case <-stop:
				_ = cmd.Process.Signal(syscall.SIGTERM)
				return <-ended
			case <-tick.C:
				changed = stamp(newer) != began
			}
		}
		_ = cmd.Process.Signal(syscall.SIGTERM)
		<-ended
	}
}

// stamp tells one file from the next of its name.
func stamp(path string) string {
	info, err := os.Stat(path)
	if err != nil {
		return ""
	}
	return fmt.Sprint(info.ModTime().UnixNano(), info.Size(), info.Sys().(*syscall.Stat_t).Ino)
}
