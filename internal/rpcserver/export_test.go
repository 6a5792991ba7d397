package rpcserver

import "google.golang.org/grpc"

// InProcess is the connection of the REST door.
func (s *Server) InProcess() grpc.ClientConnInterface { return s.inProcess }
