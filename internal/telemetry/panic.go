package telemetry

import (
	"context"
	"fmt"
	"log/slog"
	"runtime"
	"runtime/debug"
)

// LogPanic logs a recovered panic with the stack of its goroutine. Of its value the line has the type alone, since the
// value may hold what a request said, unless the runtime made it: that tells of indexes and types.
func LogPanic(ctx context.Context, logger *slog.Logger, value any, attrs ...slog.Attr) {
	what := fmt.Sprintf("%T", value)
	if e, ok := value.(runtime.Error); ok {
		what = e.Error()
	}
	attrs = append(attrs, slog.String("panic", what), slog.String("stack", string(debug.Stack())))
	logger.LogAttrs(ctx, slog.LevelError, "panic", attrs...)
}
