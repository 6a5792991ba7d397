package rpcserver

import "time"

// Limits bound what one request may cost, and how many connections there may be.
type Limits struct {
	Body       int           // bytes of a request body or gRPC message
	Header     int           // bytes of all request headers together
	URL        int           // bytes of the request target
	Depth      int           // levels of nesting in a JSON body
	Time       time.Duration // for handling one request, unless the caller asks for less
	ReadHeader time.Duration // for receiving the request headers
	ReadBody   time.Duration // for receiving the whole request; at the gRPC door together with Time
	Idle       time.Duration // of a connection between two requests

	Connections int // open at each door; more wait to be accepted
}

// DefaultLimits are ample for every request of the platform's clients.
func DefaultLimits() Limits {
	return Limits{
		Body:       4 << 20,
		Header:     32 << 10,
		URL:        8 << 10,
		Depth:      32,
		Time:       30 * time.Second,
		ReadHeader: 5 * time.Second,
		ReadBody:   60 * time.Second,
		Idle:       2 * time.Minute,

		Connections: 4096,
	}
}
