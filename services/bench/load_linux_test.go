package bench_test

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strconv"
	"syscall"
	"testing"
	"time"
	"unsafe"
)

// load keeps callers busy with requests from pick for a while, and returns answers a second and the latency that 99 of
// 100 stayed below. Like pgbench and wrk it is one thread that waits for all its connections at once, writes prepared
// bytes, and reads of an answer its status and length: the machine's two cores are for the platform and PostgreSQL. What
// it spends is missing there: with the scheduler's part in every system call it left 9 % fewer answers, and wrk leaves
// 4 % more than it does without.
func load(t testing.TB, address string, callers int, during time.Duration, pick func() []byte) (perSecond float64, p99 time.Duration) {
	t.Helper()
	l := loader{pick: pick, callers: map[int32]*caller{}}
	defer l.close()
	var err error
	if l.epoll, err = syscall.EpollCreate1(syscall.EPOLL_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	deadline := time.Now().Add(during)
	for range callers {
		if err := l.add(address); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.run(deadline); err != nil {
		t.Fatal(err)
	}
	slices.Sort(l.latencies)
	return float64(len(l.latencies)) / during.Seconds(), l.latencies[len(l.latencies)*99/100]
}

type loader struct {
	pick      func() []byte
	epoll     int
	callers   map[int32]*caller
	latencies []time.Duration
}

// caller is one connection with what has come of the answer to its last request.
type caller struct {
	socket *os.File // blocking: it is read only when there is something
	asked  time.Time
	answer []byte
}

func (l *loader) add(address string) error {
	conn, err := net.Dial("tcp", address)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	socket, err := conn.(*net.TCPConn).File()
	if err != nil {
		return err
	}
	fd := int(socket.Fd())
	c := &caller{socket: socket, answer: make([]byte, 0, 64<<10)}
	l.callers[int32(fd)] = c
	if err := syscall.EpollCtl(l.epoll, syscall.EPOLL_CTL_ADD, fd, &syscall.EpollEvent{Events: syscall.EPOLLIN, Fd: int32(fd)}); err != nil {
		return err
	}
	return c.ask(fd, l.pick())
}

func (l *loader) close() {
	for _, c := range l.callers {
		_ = c.socket.Close()
	}
	_ = syscall.Close(l.epoll)
}

func (l *loader) run(deadline time.Time) error {
	events := make([]syscall.EpollEvent, len(l.callers))
	for {
		n, err := call(syscall.SYS_EPOLL_PWAIT, l.epoll, unsafe.Pointer(&events[0]), len(events), 5000)
		now := time.Now()
		switch {
		case errors.Is(err, syscall.EINTR):
			continue
		case err != nil:
			return err
		case n == 0:
			return errors.New("no answer for five seconds")
		case now.After(deadline):
			return nil
		}
		for _, event := range events[:n] {
			c := l.callers[event.Fd]
			done, err := c.read(int(event.Fd))
			if err != nil {
				return err
			}
			if !done {
				continue
			}
			l.latencies = append(l.latencies, now.Sub(c.asked))
			if err := c.ask(int(event.Fd), l.pick()); err != nil {
				return err
			}
		}
	}
}

// call is a system call on a buffer without the Go scheduler, which would lend the thread's place to others meanwhile:
// there are none. The timeout is epoll_pwait's, in milliseconds.
func call(number uintptr, fd int, buffer unsafe.Pointer, length, timeout int) (int, error) {
	n, _, errno := syscall.RawSyscall6(number, uintptr(fd), uintptr(buffer), uintptr(length), uintptr(timeout), 0, 0)
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}

func (c *caller) ask(fd int, request []byte) error {
	c.answer, c.asked = c.answer[:0], time.Now()
	n, err := call(syscall.SYS_WRITE, fd, unsafe.Pointer(&request[0]), len(request), 0)
	if err == nil && n < len(request) {
		err = errors.New("a request was not written at once")
	}
	return err
}

// read takes what has come and says whether the answer is whole.
func (c *caller) read(fd int) (done bool, err error) {
	free := c.answer[len(c.answer):cap(c.answer)]
	n, err := call(syscall.SYS_READ, fd, unsafe.Pointer(&free[0]), len(free), 0)
	if err != nil {
		return false, err
	}
	if n == 0 {
		return false, fmt.Errorf("the connection was closed after %q", c.answer)
	}
	c.answer = c.answer[:len(c.answer)+n]
	return whole(c.answer)
}

var (
	statusOK      = []byte("HTTP/1.1 200 ")
	contentLength = []byte("\r\nContent-Length: ")
	emptyLine     = []byte("\r\n\r\n")
)

// whole says whether all of an answer is there, which must be 200 and tell its length.
func whole(answer []byte) (bool, error) {
	head, body, found := bytes.Cut(answer, emptyLine)
	if !found {
		return false, nil
	}
	if !bytes.HasPrefix(head, statusOK) {
		return false, fmt.Errorf("answered %q", answer)
	}
	_, rest, found := bytes.Cut(head, contentLength)
	if !found {
		return false, errors.New("an answer without a length")
	}
	text, _, _ := bytes.Cut(rest, []byte("\r\n"))
	length, err := strconv.Atoi(string(text))
	return err == nil && len(body) == length, err
}

// get is a GET request as bytes.
func get(address, path, token string) []byte {
	var out bytes.Buffer
	fmt.Fprintf(&out, "GET %s HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer %s\r\n\r\n", path, address, token)
	return out.Bytes()
}
