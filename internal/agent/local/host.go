package local

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"

	"github.com/aws/aws-sdk-go-v2/aws"

	"grapnel/internal/agent/config"
	"grapnel/internal/agent/executor"
	"grapnel/internal/agent/identity"
	"grapnel/internal/agent/logfile"
	"grapnel/internal/agent/transport"
	"grapnel/internal/mount"
)

// logName begins the names of the log files (agent.md 11).
const logName = "codedeploy-local"

// openLog opens codedeploy-local.log in the configured folder, which is made when it is missing.
func openLog(cfg config.Config) (*logfile.Daily, error) {
	file, err := logfile.OpenDaily(cfg.LogDir, logName, cfg.Modes().Logs)
	if err != nil {
		return nil, withAdvice(err, "log_dir", os.Geteuid())
	}
	return file, nil
}

// claimRoot makes the deployment root before anything else happens, so that a person without the right to is told what to do.
func claimRoot(cfg config.Config) error {
	if err := os.MkdirAll(cfg.RootDir, cfg.Modes().Passable); err != nil {
		return withAdvice(fmt.Errorf("cannot make the deployment root: %w", err), "root_dir", os.Geteuid())
	}
	return checkRoot(cfg)
}

// checkRoot returns why this person cannot deploy: there is no right to write into the deployment root, or where it would
// be made.
func checkRoot(cfg config.Config) error {
	folder, err := mount.NearestFolder(cfg.RootDir)
	if err == nil {
		err = writable(folder)
	}
	if err != nil {
		return withAdvice(fmt.Errorf("the deployment root %s cannot be written: %w", cfg.RootDir, err), "root_dir", os.Geteuid())
	}
	return nil
}

// withAdvice says how a person who is not root gets on.
func withAdvice(err error, key string, uid int) error {
	if errors.Is(err, fs.ErrPermission) && uid > 0 {
		return fmt.Errorf("%w. Run the command with sudo, or set %s to a folder of your own in a file and name it with --agent-configuration-file", err, key)
	}
	return err
}

// newExecutor returns what runs the events. Only bundles in S3 need to know who this host is: for all others nobody is asked.
func newExecutor(ctx context.Context, cfg config.Config, d *deployment, log *slog.Logger) (*executor.Executor, error) {
	client, err := transport.New(cfg)
	if err != nil {
		return nil, err
	}
	var id identity.Identity
	if d.Revision.S3 != nil {
		if id, err = identify(ctx, cfg, log); err != nil {
			return nil, err
		}
	}
	return executor.New(cfg, id, client, log)
}

// identify returns the keys for S3: those of the person who runs the command, else those of the host.
func identify(ctx context.Context, cfg config.Config, log *slog.Logger) (identity.Identity, error) {
	if id, ok := ownKeys(os.Getenv); ok {
		return id, nil
	}
	id, err := identity.Load(ctx, identity.Options{Config: cfg, Log: log})
	if err == nil {
		_, err = id.Credentials.Retrieve(ctx)
	}
	if err != nil {
		return identity.Identity{}, fmt.Errorf("there are no AWS credentials for the bundle in S3: set AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY "+
			"and AWS_REGION, or give this host an identity: %w", err)
	}
	return id, nil
}

// ownKeys are those of the environment. The agent never uses them, but here a person means what is set; scripts do not
// inherit them.
func ownKeys(environ func(string) string) (identity.Identity, bool) {
	keys := aws.Credentials{
		AccessKeyID: environ("AWS_ACCESS_KEY_ID"), SecretAccessKey: environ("AWS_SECRET_ACCESS_KEY"),
		SessionToken: environ("AWS_SESSION_TOKEN"), Source: "environment",
	}
	if !keys.HasKeys() {
		return identity.Identity{}, false
	}
	region := environ("AWS_REGION")
	if region == "" {
		region = environ("AWS_DEFAULT_REGION")
	}
	if region == "" {
		region = "us-east-1" // the bucket's own is found from there
	}
	provider := aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) { return keys, nil })
	return identity.Identity{Region: region, Credentials: provider}, true
}
