package cli

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"grapnel/internal/agent"
	"grapnel/internal/agent/config"
	"grapnel/internal/agent/join"
	"grapnel/internal/awsapi"
	"grapnel/internal/bundle"
	"grapnel/internal/server"
)

func demoCommand() *cobra.Command {
	var keep bool
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Show the main job on this machine: three deployments, the last one rolled back",
		Long: `Start a server and an agent in a temporary folder and deploy an application three times: the first version, the
second, and a third whose ValidateService fails and which is rolled back. Nothing outside the folder is touched.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runDemo(cmd.Context(), cmd.OutOrStdout(), keep) },
	}
	cmd.Flags().BoolVar(&keep, "keep", false, "leave everything running and print the environment for the aws CLI")
	return cmd
}

// What the demo names things.
const (
	demoApp    = "demo"
	demoGroup  = "demo-hosts"
	demoHost   = "demo-host"
	demoBucket = "demo-bundles"
)

// demo is one run of the demo: its folder, this program, the address of the deployed application, and the server.
type demo struct {
	dir     string
	exe     string
	address string
	out     io.Writer
	style   style
	server  *server.Server
	client  *client
	failed  string // id of the deployment that was rolled back
}

func runDemo(ctx context.Context, out io.Writer, keep bool) (err error) {
	began := time.Now()
	dir, err := os.MkdirTemp("", "grapnel-demo-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	d, err := newDemo(ctx, dir, out)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	parts, ctx := errgroup.WithContext(ctx) // if the server or the agent ends by itself, so does everything else
	parts.Go(func() error { return d.server.Run(ctx) })
	if err = d.deployThrice(ctx, parts); err == nil {
		d.summary(time.Since(began), keep)
		if keep {
			<-ctx.Done()
		}
	}
	stopProcess(d.path("app.pid"))
	cancel()
	return cmp.Or(parts.Wait(), err) // a part that ended by itself explains the rest
}

func newDemo(ctx context.Context, dir string, out io.Writer) (*demo, error) {
	exe, err := os.Executable()
	if err != nil {
		return nil, err
	}
	address, err := freeAddress()
	if err != nil {
		return nil, err
	}
	d := &demo{dir: dir, exe: exe, address: address, out: out, style: styleFor(out)}
	log, err := os.Create(d.path("server.log"))
	if err != nil {
		return nil, err
	}
	d.server, err = server.New(ctx, server.Options{
		DataDir: d.path("server"), Listen: "127.0.0.1:0", Region: "us-east-1", AccountID: "000000000000",
		Log: slog.New(slog.NewTextHandler(log, nil)),
	})
	if err != nil {
		return nil, err
	}
	root := d.server.Root()
	d.client = &client{
		endpoint: d.server.URL(), region: "us-east-1", http: http.DefaultClient,
		creds: aws.Credentials{AccessKeyID: root.AccessKeyID, SecretAccessKey: root.SecretAccessKey},
	}
	return d, nil
}

func (d *demo) path(name string) string { return filepath.Join(d.dir, name) }

// freeAddress returns a loopback address that nobody listens on at the moment.
func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	return l.Addr().String(), nil
}

func (d *demo) say(format string, args ...any) {
	fmt.Fprintln(d.out, d.style.bold(fmt.Sprintf(format, args...)))
}

func (d *demo) deployThrice(ctx context.Context, parts *errgroup.Group) error {
	d.say("Server at %s, everything in %s", d.server.URL(), d.dir)
	group, err := d.createSettings(ctx)
	if err != nil {
		return err
	}
	// The host agent of this program, in this process.
	agentConfig, warnings, err := config.Load(d.path("agent/codedeployagent.yml"))
	if err != nil {
		return err
	}
	parts.Go(func() error { return agent.Start(ctx, agentConfig, warnings, io.Discard) })
	t := &timeline{client: d.client, out: d.out, style: d.style, scriptLog: func(id string) string {
		return filepath.Join(d.path("agent"), "root", group, id, "logs", "scripts.log")
	}}
	for version := 1; version <= 3; version++ {
		if err := d.deployVersion(ctx, t, version); err != nil {
			return fmt.Errorf("version %d: %w", version, err)
		}
	}
	return nil
}

// createSettings makes this machine a host, and makes an application with a group of it; it returns the group's id.
func (d *demo) createSettings(ctx context.Context) (string, error) {
	if err := d.joinHost(ctx); err != nil {
		return "", err
	}
	app := &awsapi.CreateApplicationInput{ApplicationName: aws.String(demoApp)}
	if err := d.client.call(ctx, "CreateApplication", app, nil); err != nil {
		return "", err
	}
	var group awsapi.CreateDeploymentGroupOutput
	err := d.client.call(ctx, "CreateDeploymentGroup", &awsapi.CreateDeploymentGroupInput{
		ApplicationName:      aws.String(demoApp),
		DeploymentGroupName:  aws.String(demoGroup),
		ServiceRoleArn:       aws.String("arn:aws:iam::000000000000:role/demo"),
		DeploymentConfigName: aws.String("CodeDeployDefault.AllAtOnce"),
		OnPremisesInstanceTagFilters: []awsapi.TagFilter{
			{Key: aws.String("fleet"), Value: aws.String("demo"), Type: awsapi.TagFilterTypeKeyAndValue},
		},
		AutoRollbackConfiguration: &awsapi.AutoRollbackConfiguration{
			Enabled: aws.Bool(true), Events: []awsapi.AutoRollbackEvent{awsapi.AutoRollbackEventDeploymentFailure},
		},
	}, &group)
	return awsapi.Value(group.DeploymentGroupId), err
}

// joinHost makes this machine a host, as an administrator does with a token.
func (d *demo) joinHost(ctx context.Context) error {
	file := d.path("agent/codedeployagent.yml")
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return err
	}
	config := strings.ReplaceAll(`log_dir: DIR/log
pid_dir: DIR/pid
root_dir: DIR/root
on_premises_config_file: DIR/codedeploy.onpremises.yml
wait_between_runs: 0
`, "DIR", d.path("agent"))
	if err := os.WriteFile(file, []byte(config), 0o644); err != nil {
		return err
	}
	var made awsapi.CreateJoinTokenOutput
	err := d.client.grapnel(ctx, "CreateJoinToken", &awsapi.CreateJoinTokenInput{
		InstanceName: aws.String(demoHost), Tags: []awsapi.Tag{{Key: aws.String("fleet"), Value: aws.String("demo")}},
	}, &made)
	if err != nil {
		return err
	}
	var said strings.Builder
	if join.Main(ctx, []string{d.server.URL(), "--token", awsapi.Value(made.Token), "--config-file", file}, &said, &said) != 0 {
		return errors.New(said.String())
	}
	return nil
}

// deployVersion pushes and deploys one version of the application, and follows the rollback if there is one.
func (d *demo) deployVersion(ctx context.Context, t *timeline, version int) error {
	key := fmt.Sprintf("demo-%d.zip", version)
	location, err := d.push(ctx, key, version)
	if err != nil {
		return err
	}
	var created awsapi.CreateDeploymentOutput
	err = d.client.call(ctx, "CreateDeployment", &awsapi.CreateDeploymentInput{
		ApplicationName: aws.String(demoApp), DeploymentGroupName: aws.String(demoGroup), Revision: location,
		FileExistsBehavior: awsapi.FileExistsBehaviorOverwrite,
	}, &created)
	if err != nil {
		return err
	}
	id := awsapi.Value(created.DeploymentId)
	d.say("\nVersion %d as %s", version, id)
	info, err := t.follow(ctx, id)
	if err != nil {
		return err
	}
	wantFailure := version == 3
	if failed := info.Status != awsapi.DeploymentStatusSucceeded; failed != wantFailure {
		return fmt.Errorf("the demo did not expect that deployment %s ends as %s", id, info.Status)
	}
	if !wantFailure {
		return d.expectAnswer(ctx, version)
	}
	d.failed = id
	return d.followRollback(ctx, t, info)
}

func (d *demo) followRollback(ctx context.Context, t *timeline, failed *awsapi.DeploymentInfo) error {
	if failed.RollbackInfo == nil || failed.RollbackInfo.RollbackDeploymentId == nil {
		return fmt.Errorf("deployment %s failed and was not rolled back", awsapi.Value(failed.DeploymentId))
	}
	id := awsapi.Value(failed.RollbackInfo.RollbackDeploymentId)
	d.say("\nRolled back by %s", id)
	info, err := t.follow(ctx, id)
	if err != nil {
		return err
	}
	if info.Status != awsapi.DeploymentStatusSucceeded {
		return fmt.Errorf("the rollback %s ended as %s", id, info.Status)
	}
	return d.expectAnswer(ctx, 2)
}

func (d *demo) expectAnswer(ctx context.Context, version int) error {
	want := demoPage(version)
	if err := checkURL(ctx, io.Discard, "http://"+d.address+"/", want); err != nil {
		return err
	}
	fmt.Fprintf(d.out, "  http://%s/ answers %q\n", d.address, want)
	return nil
}

// push packs a version as a zip, stores it, and registers it as a revision.
func (d *demo) push(ctx context.Context, key string, version int) (*awsapi.RevisionLocation, error) {
	source := d.path(fmt.Sprintf("source-%d", version))
	if err := d.writeSource(source, version); err != nil {
		return nil, err
	}
	var zip bytes.Buffer
	if _, err := bundle.Pack(ctx, &zip, source); err != nil {
		return nil, err
	}
	etag, err := d.client.put(ctx, demoBucket, key, zip.Bytes())
	if err != nil {
		return nil, err
	}
	location := &awsapi.RevisionLocation{RevisionType: awsapi.RevisionLocationTypeS3, S3Location: &awsapi.S3Location{
		Bucket: aws.String(demoBucket), Key: &key, BundleType: awsapi.BundleTypeZip, ETag: &etag,
	}}
	return location, d.client.call(ctx, "RegisterApplicationRevision", &awsapi.RegisterApplicationRevisionInput{
		ApplicationName: aws.String(demoApp), Revision: location, Description: aws.String(fmt.Sprintf("version %d", version)),
	}, nil)
}

// summary says what happened, and the exact commands that show more of it.
func (d *demo) summary(took time.Duration, keep bool) {
	d.say("\nDone in %s: two versions deployed, a third failed its validation and was rolled back.", took.Round(10*time.Millisecond))
	id := "ID" // that of this run is gone with it
	if keep {
		id = d.failed
		fmt.Fprintf(d.out, "It keeps running until Ctrl-C. The host's folder is %s, the server's log %s.\nIn another terminal:\n\n",
			d.path("agent"), d.path("server.log"))
		for _, v := range d.server.Environment() {
			fmt.Fprintf(d.out, "  export %s\n", v)
		}
	} else {
		fmt.Fprintf(d.out, "Everything is removed again. To explore it, run `grapnel demo --keep`, which prints the environment for the aws CLI; then:\n")
	}
	fmt.Fprintf(d.out, `
  aws deploy list-deployments --application-name %[1]s --deployment-group-name %[2]s
  aws deploy get-deployment --deployment-id %[5]s
  aws deploy get-deployment-target --deployment-id %[5]s --target-id %[3]s
  aws deploy list-application-revisions --application-name %[1]s
  aws s3 ls s3://%[4]s
`, demoApp, demoGroup, demoHost, demoBucket, id)
	if keep {
		fmt.Fprintf(d.out, "  curl http://%s/\n", d.address)
	}
}
