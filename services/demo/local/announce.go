package local

import (
	"text/template"
	"time"

	"circle15.dev/services/demo/haikou"
)

var readyText = template.Must(template.New("ready").Parse(`
Circle15 is ready after {{.Seconds}}, with PostgreSQL {{.PostgreSQL}} and the data in {{.Folder}}.

  REST     {{.Base}}        the API to read: {{.Base}}/docs
  gRPC     {{.GRPC}}
{{- if .Admin}}
  Metrics  http://{{.Admin}}/metrics
{{- end}}

Three tokens, valid for a day; paste them into your shell:

  # a social worker of Binjiang street (滨江街道): the records of the own station
  WORKER={{.Worker}}
  # the civil affairs bureau of Haikou: every record of the city
  BUREAU={{.Bureau}}
  # an analyst of Hainan province: sums, and no record
  ANALYST={{.Analyst}}

Three things to try:

  curl -s -H "Authorization: Bearer $WORKER" '{{.Base}}/v1/cases?pageSize=3'
  curl -s -H "Authorization: Bearer $BUREAU" '{{.Base}}/v1/reports/workSummary?from=2021-05-01&to=2021-10-01'
  curl -s -H "Authorization: Bearer $ANALYST" -H 'Circle15-Tenant: {{.Tenant}}' \
    '{{.Base}}/v1/reports/workSummary?from=2021-05-01&to=2021-10-01&groupBy=month'

"{{.Program}} token" makes tokens for other roles. Ctrl-C stops; the next start keeps the data, --reset begins anew.
`))

// announce says where everything is and how to begin.
func (s *service) announce(began time.Time) error {
	type ready struct {
		Seconds                    string
		PostgreSQL, Folder, Tenant string
		Program                    string
		Base, GRPC, Admin          string
		Worker, Bureau, Analyst    string
	}
	r := ready{
		Seconds: time.Since(began).Round(100 * time.Millisecond).String(), PostgreSQL: s.database.Version(), Folder: s.folder.dir,
		Tenant: haikou.Tenant, Program: s.program,
		Base: s.base(), GRPC: reachable(s.platform.GRPCAddr()), Admin: reachable(s.platform.AdminAddr()),
	}
	var err error
	for _, wanted := range []struct {
		token *string
		who   principal
	}{{&r.Worker, principals.socialWorker}, {&r.Bureau, principals.bureauAdmin}, {&r.Analyst, principals.provinceAnalyst}} {
		if *wanted.token, err = s.token(wanted.who); err != nil {
			return err
		}
	}
	return readyText.Execute(s.out, r)
}
