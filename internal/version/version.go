// Package version names the build.
package version

// Version is set by the linker (-X circle15.dev/internal/version.Version=…).
var Version = "dev"
