package server

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"time"

	"grapnel/internal/api"
	"grapnel/internal/audit"
	"grapnel/internal/packages"
)

// Options are the settings of a server. The command line, GRAPNEL_* variables and the YAML file fill them in.
type Options struct {
	DataDir   string // holds everything the server keeps
	Listen    string // host:port; port 0 takes a free one
	Region    string // the region that clients sign for and that ARNs name
	AccountID string // twelve digits

	Database string // "" = SQLite in DataDir; else postgres://...
	Domain   string // buckets are also served as BUCKET.Domain (virtual-host style); "" = path style only

	// PublicURL is the address by which hosts know the server, without a path; "" for the one that each request came to. Behind
	// a proxy that speaks TLS it has to be set.
	PublicURL string
	Packages  string // folder of the agent's packages; "" for the usual places, see packages.Find

	ExternalBundles ExternalBundles
	SNS             SNS

	TLSCert, TLSKey string // PEM files
	TLS             string // "self-signed" keeps a certificate authority of its own in DataDir/tls
	Insecure        bool   // plain HTTP on an address that is not loopback

	// TrustedProxies are whose X-Forwarded-For is believed; of anybody else the address of the connection counts.
	TrustedProxies []net.IPNet
	AuditKeep      time.Duration // how long audit records are kept; 0 means DefaultAuditKeep
	RateLimit      float64       // requests of a user in a second, a host may make a quarter of them; 0 for any number
	MaxConnections int           // 0 for what the limit of open files leaves
	Limits         api.Limits    // zero members stand for AWS's

	RootAccessKeyID, RootSecretAccessKey string // "" = made at the first start

	Log *slog.Logger
}

// DefaultAuditKeep is how long audit records are kept.
const DefaultAuditKeep = audit.DefaultKeep

var accountID = regexp.MustCompile(`^[0-9]{12}$`)
var region = regexp.MustCompile(`^[a-z]{2,}(-[a-z]+)+-[0-9]+$`)

// check tells what is wrong with the options and what to do about it, before anything is written. It brings those that can
// be written in several ways into one form.
func (o *Options) check() error {
	host, _, err := net.SplitHostPort(o.Listen)
	switch {
	case o.DataDir == "":
		return errors.New("no data folder; name one with --data DIR")
	case err != nil:
		return fmt.Errorf("--listen %q is not HOST:PORT: %w", o.Listen, err)
	case !accountID.MatchString(o.AccountID):
		return fmt.Errorf("--account-id %q must be twelve digits", o.AccountID)
	case !region.MatchString(o.Region):
		return fmt.Errorf("--region %q must look like us-east-1", o.Region)
	case (o.TLSCert == "") != (o.TLSKey == ""):
		return errors.New("--tls-cert and --tls-key go together")
	case o.AuditKeep < 0:
		return fmt.Errorf("--audit-keep %v is negative; give a time such as 9600h", o.AuditKeep)
	case o.TLS != "" && o.TLS != "self-signed":
		return fmt.Errorf("--tls takes self-signed, not %q", o.TLS)
	case o.TLS != "" && o.TLSCert != "":
		return errors.New("--tls self-signed makes its own certificate; leave out --tls-cert and --tls-key, or --tls")
	case (o.RootAccessKeyID == "") != (o.RootSecretAccessKey == ""):
		return errors.New("GRAPNEL_ROOT_ACCESS_KEY_ID and GRAPNEL_ROOT_SECRET_ACCESS_KEY go together")
	case o.RateLimit < 0 || o.RateLimit > 0 && o.RateLimit < minRateLimit:
		return fmt.Errorf("--rate-limit %g must be 0 for none, or at least %d: an agent sends a few requests in a second", o.RateLimit, minRateLimit)
	case o.MaxConnections < 0:
		return fmt.Errorf("--max-connections %d must be a number of connections, or 0 for what the limit of open files leaves", o.MaxConnections)
	case !o.encrypted() && !loopback(host) && !o.Insecure:
		return fmt.Errorf("%s is not a loopback address, so secrets and bundles would cross the network in clear; use --tls self-signed, "+
			"--tls-cert with --tls-key, or --insecure when something in front of the server speaks TLS", o.Listen)
	}
	if err := o.ExternalBundles.check(o.Insecure); err != nil {
		return err
	}
	if err := o.SNS.check(o.Insecure); err != nil {
		return err
	}
	return o.checkPackages()
}

func (o *Options) checkPackages() (err error) {
	if o.PublicURL != "" {
		if o.PublicURL, err = packages.CheckPublicURL(o.PublicURL); err != nil {
			return fmt.Errorf("--public-url: %w", err)
		}
	}
	if o.Packages == "" {
		return nil
	}
	if info, err := os.Stat(o.Packages); err != nil || !info.IsDir() {
		return fmt.Errorf("--packages %s is not a folder; `make packages` writes one (dist)", o.Packages)
	}
	return nil
}

func (o Options) encrypted() bool { return o.TLS != "" || o.TLSCert != "" }

func (o Options) database() string {
	if o.Database != "" {
		return o.Database
	}
	return filepath.Join(o.DataDir, "grapnel.db")
}

// minRateLimit is the least that Options.RateLimit may be besides none.
const minRateLimit = 20

// reservedFiles are for the database, bundles and logs; the rest of the open files may be connections.
const reservedFiles = 256

func (o Options) maxConnections() int {
	const most = 1 << 20
	switch files := openFiles(); {
	case o.MaxConnections > 0:
		return o.MaxConnections
	case files == 0:
		return most
	default:
		return max(files-reservedFiles, files/2)
	}
}

// loopback reports whether only this machine reaches the host. A name other than localhost may resolve to anything.
func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
