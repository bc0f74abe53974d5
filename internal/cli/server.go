package cli

import (
	"fmt"
	"io"
	"log/slog"
	"os"
	"runtime"
	"strings"

	"github.com/spf13/cobra"

	"grapnel/internal/server"
)

func serverCommand() *cobra.Command {
	var o server.Options
	var verbose bool
	cmd := &cobra.Command{
		Use:   "server",
		Short: "Run the control plane",
		Long: `Run the control plane: one process, one data folder, one address for every AWS service that it speaks.

Every flag is also an environment variable (--data is GRAPNEL_DATA) and a key of the YAML file named by --config.

The limits that --limit sets, with AWS's values: ` + o.Limits.Names() + `.
In the environment and in the file, several are separated by commas.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := fillFlags(cmd, os.LookupEnv); err != nil {
				return err
			}
			o.Log = newLog(cmd.ErrOrStderr(), verbose)
			defer runtime.KeepAlive(reserve())
			s, err := server.New(cmd.Context(), o)
			if err != nil {
				return err
			}
			printExports(cmd.OutOrStdout(), s)
			return s.Run(cmd.Context())
		},
	}
	f := cmd.Flags()
	f.String(configFlag, "", "YAML file of settings")
	f.StringVar(&o.DataDir, "data", "", "folder that holds everything the server keeps (required)")
	f.StringVar(&o.Listen, "listen", "127.0.0.1:8700", "address to serve on")
	f.StringVar(&o.Region, "region", "us-east-1", "region that clients sign for")
	f.StringVar(&o.AccountID, "account-id", "000000000000", "twelve digits that ARNs name")
	f.StringVar(&o.Database, "database", "", "postgres://... instead of SQLite in the data folder")
	f.StringVar(&o.Domain, "domain", "", "serve buckets also as BUCKET.DOMAIN")
	f.StringVar(&o.PublicURL, "public-url", "", "address by which hosts know the server, for the install script (default: the one that a request came to)")
	f.StringVar(&o.Packages, "packages", "", "folder of the agent's packages, as make packages writes it (default: packages beside the program, then /usr/share/grapnel/packages)")
	f.StringVar(&o.ExternalBundles.Location, "bundles", "", "s3://BUCKET/PREFIX in an external S3 instead of bundles in the data folder")
	f.StringVar(&o.ExternalBundles.Endpoint, "bundles-endpoint", "", "URL of that S3 (default: Amazon's)")
	f.StringVar(&o.ExternalBundles.Region, "bundles-region", "", "region of that S3 (default: --region)")
	f.StringVar(&o.ExternalBundles.AccessKeyID, "bundles-access-key-id", "", "access key that the S3 knows this server by")
	f.StringVar(&o.ExternalBundles.SecretAccessKey, "bundles-secret-access-key", "", "its secret; better set as GRAPNEL_BUNDLES_SECRET_ACCESS_KEY than as a flag")
	f.StringVar(&o.SNS.Endpoint, "sns-endpoint", "", "URL of an SNS service that tells the topics of triggers (default: none is told)")
	f.StringVar(&o.SNS.AccessKeyID, "sns-access-key-id", "", "access key that the SNS service knows this server by")
	f.StringVar(&o.SNS.SecretAccessKey, "sns-secret-access-key", "", "its secret; better set as GRAPNEL_SNS_SECRET_ACCESS_KEY than as a flag")
	f.StringVar(&o.TLSCert, "tls-cert", "", "PEM file of the server certificate and its chain")
	f.StringVar(&o.TLSKey, "tls-key", "", "PEM file of its key")
	f.StringVar(&o.TLS, "tls", "", `"self-signed" makes a certificate authority in the data folder`)
	f.BoolVar(&o.Insecure, "insecure", false, "allow plain HTTP on an address that is not loopback")
	f.IPNetSliceVar(&o.TrustedProxies, "trusted-proxy", nil, "believe X-Forwarded-For of the proxies in these CIDR blocks")
	f.DurationVar(&o.AuditKeep, "audit-keep", server.DefaultAuditKeep, "how long audit records are kept")
	f.Var(&o.Limits, "limit", "another value than AWS's for a limit; may be repeated")
	f.StringVar(&o.RootAccessKeyID, "root-access-key-id", "", "root access key (default: made at the first start)")
	f.StringVar(&o.RootSecretAccessKey, "root-secret-access-key", "", "its secret; better set as GRAPNEL_ROOT_SECRET_ACCESS_KEY than as a flag")
	f.Float64Var(&o.RateLimit, "rate-limit", server.DefaultRateLimit, "requests a second for each user, of which a host may make a quarter; 0 for any number. Root is never held back")
	f.IntVar(&o.MaxConnections, "max-connections", 0, "connections at a time (default: what the limit of open files leaves)")
	f.BoolVar(&verbose, "verbose", false, "log every request")
	return cmd
}

// reserved is the size of reserve in bytes.
const reserved = 64 << 20

// reserve returns memory that nobody touches, so that it takes none of the machine's. The collector counts it as in use and so
// runs after some 64 MB of garbage, not after each of the few megabytes that an idle server holds: a third less work for a
// request. A higher GOGC would do the same for a small heap, and multiply a large one.
func reserve() []byte { return make([]byte, reserved) }

func newLog(w io.Writer, verbose bool) *slog.Logger {
	level := slog.LevelInfo
	if verbose {
		level = slog.LevelDebug
	}
	return slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: level}))
}

// printExports prints what points the aws CLI and every SDK at the server, all at once: whoever reads one line has them all.
func printExports(w io.Writer, s *server.Server) {
	var lines strings.Builder
	for _, v := range s.Environment() {
		fmt.Fprintln(&lines, "export "+v)
	}
	io.WriteString(w, lines.String()) //nolint:errcheck // a server does not end because nobody reads its greeting
}
