package embeddedpg

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

const (
	maxLogBytes     = 16 << 20
	socketDirPrefix = "circle15-pg-"
)

// folder is the folder of one server, locked by this process.
//
//	lock                 held while a process owns the folder
//	pgdata/              PostgreSQL's data, owned by the server's account
//	socket               the path of the folder of the server's Unix socket
//	postgres.log         the server's log
//	superuser.password   mode 0600
type folder struct {
	dir  string
	lock *os.File
}

func openFolder(dir string) (*folder, error) {
	if dir == "" {
		return nil, errors.New("a PostgreSQL server needs a folder")
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil { //nolint:gosec // the server's account must enter it
		return nil, fmt.Errorf("the data folder cannot be made: %w", err)
	}
	lock, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("the data folder cannot be used: %w", err)
	}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		owner, _ := os.ReadFile(lock.Name())
		_ = lock.Close()
		return nil, fmt.Errorf("the data folder %s is in use by another running program (process %s)", dir, bytes.TrimSpace(owner))
	}
	f := &folder{dir: dir, lock: lock}
	if err := errors.Join(lock.Truncate(0), writeAt(lock, strconv.Itoa(os.Getpid())+"\n")); err != nil {
		f.close()
		return nil, fmt.Errorf("the data folder cannot be used: %w", err)
	}
	return f, nil
}

func writeAt(f *os.File, text string) error {
	_, err := f.WriteAt([]byte(text), 0)
	return err
}

func (f *folder) data() string { return filepath.Join(f.dir, "pgdata") }
func (f *folder) log() string  { return filepath.Join(f.dir, "postgres.log") }

// close gives the folder up; the lock file stays, because removing it would let two processes hold different locks.
func (f *folder) close() { _ = f.lock.Close() }

// majorVersion is the major version of the PostgreSQL that made the data, or 0 where there are none yet.
func (f *folder) majorVersion() (int, error) {
	text, err := os.ReadFile(filepath.Join(f.data(), "PG_VERSION"))
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("the data folder %s cannot be read: %w", f.data(), err)
	}
	major, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		return 0, fmt.Errorf("%s does not hold PostgreSQL data: its PG_VERSION is %q", f.data(), text)
	}
	return major, nil
}

// superuserPassword reads the password, or makes one for new data.
func (f *folder) superuserPassword(create bool) (string, error) {
	path := filepath.Join(f.dir, "superuser.password")
	text, err := os.ReadFile(path)
	switch {
	case err == nil && len(bytes.TrimSpace(text)) > 0:
		return string(bytes.TrimSpace(text)), nil
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return "", fmt.Errorf("the password of the data folder cannot be read: %w", err)
	case !create:
		return "", fmt.Errorf("the data folder %s has lost its password file %s: restore the file, or begin anew", f.dir, path)
	}
	password := rand.Text()
	if err := os.WriteFile(path, []byte(password+"\n"), 0o600); err != nil {
		return "", fmt.Errorf("the password of the data folder cannot be kept: %w", err)
	}
	return password, nil
}

func (f *folder) giveTo(who account) error {
	if err := who.ownAll(f.data()); err != nil {
		return fmt.Errorf("the data folder cannot be given to account %s: %w", who.name, err)
	}
	return nil
}

// dataPath is the data folder as the server process sees it.
type dataPath struct {
	path  string
	files []*os.File // descriptors that the path needs in the child
}

func (d dataPath) close() {
	for _, file := range d.files {
		_ = file.Close()
	}
}

func (f *folder) openData(who account) (dataPath, error) { return openFor(who, f.data()) }

// openFor returns a path to dir for a child that runs as who. A folder below a closed one (a clone under /root, mode
// 0700) is handed over as an open descriptor instead of by its name.
func openFor(who account, dir string) (dataPath, error) {
	if who.reaches(dir) {
		return dataPath{path: dir}, nil
	}
	const firstExtraFile = 3
	path, ok := throughDescriptor(firstExtraFile)
	if !ok {
		return dataPath{}, fmt.Errorf("account %s, which runs PostgreSQL for root, cannot enter %s: choose a data folder outside a private home",
			who.name, dir)
	}
	file, err := os.Open(dir)
	if err != nil {
		return dataPath{}, err
	}
	return dataPath{path: path, files: []*os.File{file}}, nil
}

func (f *folder) rememberSocketDir(dir string) error {
	return os.WriteFile(filepath.Join(f.dir, "socket"), []byte(dir+"\n"), 0o600)
}

// removeLostSocketDir removes the socket folder of a run that was killed.
func (f *folder) removeLostSocketDir() {
	text, err := os.ReadFile(filepath.Join(f.dir, "socket"))
	dir := strings.TrimSpace(string(text))
	if err == nil && filepath.IsAbs(dir) && strings.HasPrefix(filepath.Base(dir), socketDirPrefix) {
		_ = os.RemoveAll(dir) //nolint:gosec // this process wrote the path; its base name is checked
	}
}

// lockFile reads the server's own lock file: its process id and status; 0 where there is none.
func (f *folder) lockFile() (pid int, status string) {
	text, err := os.ReadFile(filepath.Join(f.data(), "postmaster.pid"))
	if err != nil {
		return 0, ""
	}
	lines := strings.Split(string(text), "\n")
	pid, _ = strconv.Atoi(strings.TrimSpace(lines[0]))
	if len(lines) >= 8 {
		status = strings.TrimSpace(lines[7])
	}
	return pid, status
}

// openLog opens the log for appending, anew when it has grown large, and tells where this run's part begins.
func (f *folder) openLog() (int64, *os.File, error) {
	if info, err := os.Stat(f.log()); err == nil && info.Size() > maxLogBytes {
		_ = os.Rename(f.log(), f.log()+".1")
	}
	file, err := os.OpenFile(f.log(), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return 0, nil, fmt.Errorf("PostgreSQL's log cannot be written: %w", err)
	}
	info, err := file.Stat()
	if err != nil {
		_ = file.Close()
		return 0, nil, err
	}
	return info.Size(), file, nil
}

// lastComplaint is the last fatal line in the log since the offset.
func (f *folder) lastComplaint(offset int64) string {
	text, err := os.ReadFile(f.log())
	if err != nil || int64(len(text)) < offset {
		return ""
	}
	return lastComplaintIn(string(text[offset:]), "FATAL:  ", "PANIC:  ")
}

// lastComplaintIn is the message of the last line with one of the severities, empty for none.
func lastComplaintIn(text string, severities ...string) string {
	complaint := ""
	for line := range strings.Lines(text) {
		for _, severity := range severities {
			if _, message, found := strings.Cut(line, severity); found {
				complaint = strings.TrimSpace(message)
				break
			}
		}
	}
	return complaint
}
