package main

import (
	"errors"
	"os"

	"github.com/spf13/pflag"

	"circle15.dev/internal/config"
)

// dataEnv is the setting "data" in the environment.
const dataEnv = "CIRCLE15_DATA"

// addDataFlag adds the data folder to the flags of a command that works on the running demo and has no other setting of it.
func addDataFlag(flags *pflag.FlagSet, folder *string) {
	standard, set := os.LookupEnv(dataEnv)
	if !set {
		standard = config.Default().Data
	}
	flags.StringVar(folder, "data", standard, "data folder of the demo ("+dataEnv+")")
}

// checkData refuses no folder, which would be the current one.
func checkData(folder string) error {
	if folder == "" {
		return errors.New("--data (" + dataEnv + "): want a folder")
	}
	return nil
}
