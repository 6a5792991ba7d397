package rpcserver

import (
	"net"
	"sync"
)

// limitedListener has at most as many connections open as places has room; more wait to be accepted. It is netutil's
// LimitListener but for its connections, which stay TCP connections: net/http closes those gently, so that an answer
// reaches a client that is still sending.
type limitedListener struct {
	*net.TCPListener
	places chan struct{}
	closed chan struct{}
	close  func() error
}

func limitConnections(l *net.TCPListener, limit int) *limitedListener {
	closed := make(chan struct{})
	return &limitedListener{
		TCPListener: l, places: make(chan struct{}, limit), closed: closed,
		close: sync.OnceValue(func() error {
			close(closed)
			return l.Close()
		}),
	}
}

// Accept implements net.Listener.
func (l *limitedListener) Accept() (net.Conn, error) {
	select {
	case l.places <- struct{}{}:
	case <-l.closed:
		return nil, net.ErrClosed
	}
	conn, err := l.AcceptTCP()
	if err != nil {
		<-l.places
		return nil, err
	}
	return &limitedConn{conn, sync.OnceFunc(func() { <-l.places })}, nil
}

// Close implements net.Listener.
func (l *limitedListener) Close() error { return l.close() }

// limitedConn gives its place back when it is closed.
type limitedConn struct {
	*net.TCPConn
	leave func()
}

// Close implements net.Conn.
func (c *limitedConn) Close() error {
	defer c.leave()
	return c.TCPConn.Close()
}
