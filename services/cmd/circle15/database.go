package main

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"circle15.dev/operator/provision"
)

func newDatabaseCommand() *cobra.Command {
	return group(&cobra.Command{Use: "database", Short: "Prepare a PostgreSQL cluster"}, newDatabaseBootstrapCommand())
}

func newDatabaseBootstrapCommand() *cobra.Command {
	var database string
	cmd := &cobra.Command{
		Use:   "bootstrap",
		Short: "Make the roles, the database and the control schema; may be repeated",
		Long: "Make the login roles circle15_operator and circle15_app with the passwords in CIRCLE15_OPERATOR_PASSWORD and\n" +
			"CIRCLE15_APP_PASSWORD, the database, and the control schema. CIRCLE15_ADMIN_DATABASE_URL is of a role that may create\n" +
			"roles and databases. Secrets come from the environment alone, and none is printed.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			admin := os.Getenv("CIRCLE15_ADMIN_DATABASE_URL")
			if admin == "" {
				return errors.New("set CIRCLE15_ADMIN_DATABASE_URL to the URL of a role that may create roles and databases")
			}
			endpoints, err := provision.Bootstrap(cmd.Context(), provision.BootstrapConfig{
				AdminURL: admin, Database: database,
				OperatorPassword: os.Getenv("CIRCLE15_OPERATOR_PASSWORD"), AppPassword: os.Getenv("CIRCLE15_APP_PASSWORD"),
			})
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "the database %s is ready for the roles %s and %s\n",
				database, provision.OperatorRole, provision.AppRole)
			if err != nil || len(endpoints.ForSuperuser) == 0 {
				return err
			}
			_, err = fmt.Fprintf(cmd.ErrOrStderr(), "warning: the server's log may hold identity numbers until a superuser runs:\n%s;\n",
				strings.Join(endpoints.ForSuperuser, ";\n"))
			return err
		},
	}
	cmd.Flags().StringVar(&database, "database", provision.DefaultDatabase, "name of the database to make")
	return cmd
}
