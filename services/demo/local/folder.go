package local

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"syscall"

	"circle15.dev/internal/issuer"
)

// Files of a data folder. The mark is the first to be written and the last to be removed.
const (
	markFile       = "circle15.json"
	draftFile      = "circle15.json.draft"
	lockFile       = "lock"
	postgresFolder = "postgres"
)

// format is the layout of the data folder that this version writes.
const format = 1

// Folder is the data folder of the demo, which one process at a time uses.
type Folder struct {
	dir  string
	lock *os.File
	mark mark
}

// mark tells that a folder is ours, and holds its secrets: the passwords of the two login roles, and the key of page
// tokens. Only its owner may read it.
type mark struct {
	Format           int    `json:"format"`
	OperatorPassword string `json:"operatorPassword"`
	AppPassword      string `json:"appPassword"`
	PageTokenKey     string `json:"pageTokenKey"`
}

// OpenFolder opens the data folder, or makes it. Its errors are single sentences for a person: in use by another process,
// made by a newer version, or not a data folder at all.
func OpenFolder(dir string) (*Folder, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil { //nolint:gosec // PostgreSQL's account must enter it when root starts the demo
		return nil, fmt.Errorf("the data folder cannot be made: %w", err)
	}
	if err := checkOurs(dir); err != nil {
		return nil, err
	}
	lock, err := lockFolder(dir)
	if err != nil {
		return nil, err
	}
	f := &Folder{dir: dir, lock: lock}
	if f.mark, err = readOrMakeMark(dir); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// Dir is the folder's path.
func (f *Folder) Dir() string { return f.dir }

// Close gives the folder up. The lock file stays: removing it would let two processes hold different locks.
func (f *Folder) Close() { _ = f.lock.Close() }

// Reset removes a data folder, after checking that it is one and that nobody uses it. What is not there is not missed.
func Reset(dir string) error {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return err
	}
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("the data folder cannot be read: %w", err)
	}
	if err := checkOurs(dir); err != nil {
		return err
	}
	var content []string // in the order in which it goes
	for _, entry := range entries {
		switch name := entry.Name(); {
		case name == postgresFolder, issuer.IsFile(name):
			content = append(content, name)
		case name == markFile, name == draftFile, name == lockFile:
		default:
			return fmt.Errorf("%s is no part of a data folder, so nothing was removed: move it away, or remove the folder yourself",
				filepath.Join(dir, name))
		}
	}
	lock, err := lockFolder(dir)
	if err != nil {
		return err
	}
	defer func() { _ = lock.Close() }()
	for _, name := range append(content, draftFile, markFile, lockFile) {
		if err := os.RemoveAll(filepath.Join(dir, name)); err != nil {
			return fmt.Errorf("the data folder cannot be removed: %w", err)
		}
	}
	return os.Remove(dir)
}

// checkOurs refuses a folder that has content and no mark.
func checkOurs(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("the data folder cannot be read: %w", err)
	}
	for _, entry := range entries {
		if entry.Name() == markFile {
			return nil
		}
	}
	for _, entry := range entries {
		if entry.Name() != lockFile && entry.Name() != draftFile {
			return fmt.Errorf("%s is not a data folder of circle15 and is left alone: choose another one with CIRCLE15_DATA", dir)
		}
	}
	return nil
}

func lockFolder(dir string) (*os.File, error) {
	lock, err := os.OpenFile(filepath.Join(dir, lockFile), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("the data folder cannot be used: %w", err)
	}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		owner, _ := os.ReadFile(lock.Name())
		_ = lock.Close()
		return nil, fmt.Errorf("the data folder %s is in use by another running circle15 (process %s)", dir, bytes.TrimSpace(owner))
	}
	if err := errors.Join(lock.Truncate(0), writeAll(lock, strconv.Itoa(os.Getpid())+"\n")); err != nil {
		_ = lock.Close()
		return nil, fmt.Errorf("the data folder cannot be used: %w", err)
	}
	return lock, nil
}

func writeAll(f *os.File, text string) error {
	_, err := f.WriteAt([]byte(text), 0)
	return err
}

func readOrMakeMark(dir string) (mark, error) {
	path := filepath.Join(dir, markFile)
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return makeMark(dir)
	}
	if err != nil {
		return mark{}, fmt.Errorf("the data folder cannot be read: %w", err)
	}
	return parseMark(dir, text)
}

// parseMark reads the mark of the folder dir.
func parseMark(dir string, text []byte) (mark, error) {
	var m mark
	err := json.Unmarshal(text, &m)
	switch {
	case err == nil && m.Format > format:
		return mark{}, fmt.Errorf("the data folder %s was made by a newer version of circle15 (format %d, this version knows %d): "+
			"use that version, or begin anew with --reset", dir, m.Format, format)
	case err != nil || m.Format < 1 || m.OperatorPassword == "" || m.AppPassword == "" || m.PageTokenKey == "":
		return mark{}, fmt.Errorf("%s is damaged: begin anew with --reset", filepath.Join(dir, markFile))
	}
	return m, nil
}

// makeMark writes the mark in one step, so that a killed process leaves a whole one or none.
func makeMark(dir string) (mark, error) {
	m := mark{Format: format, OperatorPassword: rand.Text(), AppPassword: rand.Text(), PageTokenKey: rand.Text() + rand.Text()}
	text, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return m, err
	}
	draft := filepath.Join(dir, draftFile)
	if err := os.WriteFile(draft, append(text, '\n'), 0o600); err != nil {
		return m, fmt.Errorf("the data folder cannot be written: %w", err)
	}
	return m, os.Rename(draft, filepath.Join(dir, markFile))
}
