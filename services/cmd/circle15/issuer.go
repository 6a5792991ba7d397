package main

import (
	"fmt"
	"net/url"
	"os"

	"github.com/spf13/cobra"

	"circle15.dev/internal/issuer"
)

func newIssuerCommand() *cobra.Command {
	var identifier string
	cmd := &cobra.Command{
		Use:   "issuer FOLDER --url URL",
		Short: "Make the key of a built-in issuer, for demonstrations and tests on Kubernetes",
		Example: "  circle15 issuer .issuer --url http://issuer.circle15.svc\n" +
			"  kubectl create secret generic circle15-issuer --from-file=.issuer/issuer.key",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := checkIdentifier(identifier); err != nil {
				return err
			}
			if err := os.MkdirAll(args[0], 0o700); err != nil {
				return err
			}
			i, err := issuer.Open(args[0], identifier)
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s holds the key of the issuer %s\n", args[0], i.URL())
			return err
		},
	}
	cmd.Flags().StringVar(&identifier, "url", "", "identifier of the issuer (the tokens' iss)")
	if err := cmd.MarkFlagRequired("url"); err != nil {
		panic(err) // the flag is defined above
	}
	return cmd
}

// checkIdentifier refuses what cannot be an issuer's identifier (OpenID Connect Discovery 1.0, section 3), but for http, which
// a network of its own may do with.
func checkIdentifier(text string) error {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Hostname() == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return fmt.Errorf("--url %q: want https://HOST/PATH, or http inside a network of its own", text)
	}
	return nil
}
