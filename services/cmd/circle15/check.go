package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// newCheckCommand is what `helm test` runs: the image holds nothing but the binaries.
func newCheckCommand() *cobra.Command {
	var patience time.Duration
	var route string
	cmd := &cobra.Command{
		Use:   "check URL",
		Short: "Call a running platform over REST: readiness, the contract, and that a request without a token is refused",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, cancel := context.WithTimeout(cmd.Context(), patience)
			defer cancel()
			for _, c := range []check{
				{"/readyz", http.StatusOK, nil},
				{"/openapi.yaml", http.StatusOK, contains("openapi:")},
				{route, http.StatusUnauthorized, isProblem},
			} {
				if err := c.run(ctx, strings.TrimSuffix(args[0], "/")); err != nil {
					return err
				}
				if _, err := fmt.Fprintf(cmd.OutOrStdout(), "ok  GET %s answers %d\n", c.path, c.status); err != nil {
					return err
				}
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&route, "route", "/v1/me", "route of a service that runs there, which must refuse a request without a token")
	cmd.Flags().DurationVar(&patience, "patience", 30*time.Second, "how long the calls may take in all")
	return cmd
}

type check struct {
	path   string
	status int
	body   func(body []byte) error // nil: any
}

func (c check) run(ctx context.Context, base string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, base+c.path, nil)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(response.Body, 16<<20))
	if err != nil {
		return err
	}
	if response.StatusCode != c.status {
		return fmt.Errorf("GET %s answered %d, want %d", c.path, response.StatusCode, c.status)
	}
	if c.body == nil {
		return nil
	}
	if err := c.body(body); err != nil {
		return fmt.Errorf("GET %s: %w", c.path, err)
	}
	return nil
}

func contains(text string) func([]byte) error {
	return func(body []byte) error {
		if !strings.Contains(string(body), text) {
			return fmt.Errorf("the answer does not contain %q", text)
		}
		return nil
	}
}

// isProblem checks for problem details (RFC 9457).
func isProblem(body []byte) error {
	var problem struct{ Type, Title string }
	if err := json.Unmarshal(body, &problem); err != nil || problem.Type == "" || problem.Title == "" {
		return fmt.Errorf("the answer is no problem+json: %.80s", body)
	}
	return nil
}
