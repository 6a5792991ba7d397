package main

import (
	"bytes"
	"strings"
	"testing"

	"go.opentelemetry.io/otel/trace"

	"circle15.dev/internal/config"
	"circle15.dev/internal/telemetry"
)

func TestTheDemosLogFindsTheRequestOfAProblem(t *testing.T) {
	t.Setenv("CIRCLE15_LOG_LEVEL", "")
	var out bytes.Buffer
	cmd := newDemoCommand()
	cmd.SetErr(&out)
	logger, err := demoLogger(cmd, config.Default())
	if err != nil {
		t.Fatal(err)
	}
	ctx := telemetry.Identify(t.Context(), "")
	logger.InfoContext(ctx, "not for the terminal")
	logger.ErrorContext(ctx, "rpc")
	id := trace.SpanContextFromContext(ctx).TraceID().String()
	if got := out.String(); strings.Count(got, "\n") != 1 || !strings.Contains(got, "trace_id="+id) {
		t.Errorf("the log holds %q", got)
	}
}
