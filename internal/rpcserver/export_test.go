package rpcserver

import "google.golang.org/grpc"

// How many messages may be arriving at once.
const (
	MaxArrivingOfCaller = maxArrivingOfCaller
	MaxArrivingOpen     = maxArrivingOpen
)

// InProcess is the connection of the REST door.
func (s *Server) InProcess() grpc.ClientConnInterface { return s.inProcess }
