// Package agent prints the figures of the agent: `make bench-agent` runs it. Nothing here asserts a figure.
//
// The programs are those of `make build`, the server is a real one on loopback, and the tools of the system do the same work
// in between, so that noise hits both: ratios count, not times. With GRAPNEL_STOCK_AGENT the stock agent in that folder is
// measured as well (against a server with TLS, the only kind it accepts). GRAPNEL_BENCH_DIR names the folder for all files; the
// default is the RAM disk, which shows the agent's own work and hides what fsync costs.
package agent

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/codedeploy/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"grapnel/test/harness"
)

func TestMain(m *testing.M) {
	os.Setenv("CGO_ENABLED", "0")
	os.Setenv("GOFLAGS", "-trimpath '-ldflags=-s -w'")
	harness.Main(m)
}

const (
	runs      = 5   // of each case
	largeRuns = 3   // of the gigabyte
	noops     = 200 // deployments of nothing
)

// settle is how long an agent is left alone before its memory at rest is read.
const settle = 2 * time.Second

// lab is what all figures share.
type lab struct {
	table
	dir    string
	server *harness.Server
	stock  *harness.Server // nil without the stock agent
}

// BenchmarkAgent prints the table.
func BenchmarkAgent(b *testing.B) {
	dir := cmp.Or(os.Getenv("GRAPNEL_BENCH_DIR"), ramDisk())
	b.Setenv("TMPDIR", dir) // for b.TempDir
	l := &lab{table: table{withStock: harness.StockAgent() != ""}, dir: b.TempDir()}
	fmt.Printf("\n\n%d CPUs, files in %s, median (least-most) of %d runs\n\n", runtime.NumCPU(), dir, runs)
	l.head()
	l.binary(b)
	l.firstPoll(b)
	l.server = harness.StartServer(b, b.TempDir())
	makeSettings(b, l.server)
	if l.withStock {
		l.stock = startStockServer(b)
		makeSettings(b, l.stock)
	}
	l.idle(b)
	l.large(b)
	parts := []part{
		l.busy(b, "jar in zip", bundle{kind: types.BundleTypeZip, contents: jar}),
		l.busy(b, "small files in tgz", bundle{kind: types.BundleTypeTarGZip, contents: small}),
	}
	plain := bundle{kind: types.BundleTypeZip, contents: small}
	parts = append(parts, l.busy(b, "small files in zip", plain))
	l.permissions(b, plain)
	printParts(parts)
	b.ReportMetric(0, "ns/op")
}

func ramDisk() string {
	if _, err := os.Stat("/dev/shm"); err == nil {
		return "/dev/shm"
	}
	return os.TempDir()
}

func (l *lab) binary(b *testing.B) {
	info, err := os.Stat(harness.Path("codedeploy-agent"))
	check(b, err)
	l.row(row{figure: "binary, stripped", aim: "14 MiB", unit: "MiB", measured: sample{float64(info.Size()) / (1 << 20)}})
}

// firstPoll takes the time from exec to the arrival of the first PollHostCommand.
func (l *lab) firstPoll(b *testing.B) {
	r := row{figure: "start to first poll", aim: "0.050 s", unit: "s"}
	for range runs {
		r.measured.addTime(timeToPoll(b, httptest.NewServer, func(s *httptest.Server, h *harness.Host) *harness.Process { return h.Start(b) }))
		if l.withStock {
			r.stock.addTime(timeToPoll(b, httptest.NewTLSServer, func(s *httptest.Server, h *harness.Host) *harness.Process {
				return startStock(b, s.URL, certificateOf(b, s), h)
			}))
		}
	}
	l.row(r)
}

func timeToPoll(b *testing.B, listen func(http.Handler) *httptest.Server, start func(*httptest.Server, *harness.Host) *harness.Process) time.Duration {
	b.Helper()
	arrived := make(chan time.Time, 1)
	s := listen(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasSuffix(r.Header.Get("X-Amz-Target"), ".PollHostCommand") {
			return
		}
		at := time.Now()
		io.Copy(io.Discard, r.Body) //nolint:errcheck // only to its end is the caller's going away noticed below
		select {
		case arrived <- at:
			w.Header().Set("Content-Type", "application/x-amz-json-1.1")
			fmt.Fprint(w, "{}")
		default:
			<-r.Context().Done() // hold further polls: an agent without pauses would not rest
		}
	}))
	defer s.Close()
	h := harness.NewHost(b, &harness.Server{URL: s.URL}, "web-1", "arn:aws:iam::000000000000:user/web-1", "AKIDEXAMPLE", "secret")
	begun := time.Now()
	p := start(s, h)
	defer endAll(b, p)
	select {
	case at := <-arrived:
		return at.Sub(begun)
	case <-time.After(time.Minute):
		b.Fatalf("no poll within a minute:\n%s", p.Output)
		return 0
	}
}

// idle takes the memory of fresh agents at rest, before and after many deployments of nothing, and the times of those.
func (l *lab) idle(b *testing.B) {
	var start, after memories
	overhead := row{figure: "seven no-op events", aim: "0.060 s", unit: "s"}
	cpu := row{figure: "the same, CPU of the agent", unit: "s"}
	nothing := bundle{kind: types.BundleTypeZip}
	for range runs {
		a := l.startAgent(b)
		time.Sleep(settle)
		start.add(a.memory(b))
		key, used := a.upload(b, l.dir, nothing), a.cpu(b)
		for range noops {
			overhead.measured.addTime(a.deploy(b, key, nothing.kind).wall)
		}
		cpu.measured.addTime((a.cpu(b) - used) / noops)
		time.Sleep(settle)
		after.add(a.memory(b))
		endAll(b, a.process)
	}
	var stock, stockAfter memories
	if l.withStock {
		a := l.startStockAgent(b)
		key := a.upload(b, l.dir, nothing)
		overhead.stock.addTime(a.deploy(b, key, nothing.kind).wall)
		time.Sleep(settle)
		stock.add(a.memory(b)) // it must have polled, which only a deployment shows
		for range noops - 1 {
			overhead.stock.addTime(a.deploy(b, key, nothing.kind).wall)
		}
		time.Sleep(settle)
		stockAfter.add(a.memory(b))
		endAll(b, a.process)
	}
	start.print(l.table, "at rest after start", stock)
	after.print(l.table, fmt.Sprintf("at rest after %d deployments of nothing", noops), stockAfter)
	l.row(overhead)
	l.row(cpu)
}

// memories are those of several agents.
type memories struct{ rss, pss, anonymous, file sample }

func (m *memories) add(v memory) {
	m.rss.add(v.rss)
	m.pss.add(v.pss)
	m.anonymous.add(v.anonymous)
	m.file.add(v.file)
}

func (m memories) print(t table, when string, stock memories) {
	note := fmt.Sprintf(", of it anonymous %.1f and file %.1f", m.anonymous.median(), m.file.median())
	t.row(row{figure: "RSS " + when, aim: "12 MB", unit: "MB", measured: m.rss, stock: stock.rss, note: note})
	t.row(row{figure: "PSS " + when, unit: "MB", measured: m.pss, stock: stock.pss})
}

// large takes the peak of a gigabyte, with a fresh agent each time. It takes no time of the tools and keeps few revisions, so
// that the RAM disk does not fill up.
func (l *lab) large(b *testing.B) {
	gigabyte := bundle{kind: types.BundleTypeTarGZip, contents: large}
	peak := row{figure: "peak, 1 GB in tgz", aim: "32 MB", unit: "MB"}
	wall := row{figure: "busy, 1 GB in tgz", unit: "s"}
	a := newSubject(b, l.server)
	config, err := os.ReadFile(a.host.Config)
	check(b, err)
	check(b, os.WriteFile(a.host.Config, append(config, "max_revisions: 1\n"...), 0o600))
	key := a.upload(b, l.dir, gigabyte)
	for range largeRuns {
		a.process = a.host.Start(b)
		o := a.deploy(b, key, gigabyte.kind)
		peak.measured.add(o.peak)
		wall.measured.addTime(o.wall)
		endAll(b, a.process)
	}
	check(b, os.RemoveAll(a.destination))
	check(b, os.RemoveAll(a.host.Dir))
	_, err = l.server.S3(b).DeleteObject(context.Background(), &s3.DeleteObjectInput{Bucket: aws.String(bucket), Key: &key})
	check(b, err)
	l.row(peak)
	l.row(wall)
}

// busy takes the times of deployments of one bundle, each followed by the plain tools doing the same. The first deployment of
// an agent is not counted: it finds nothing to stop and nothing to remove.
func (l *lab) busy(b *testing.B, name string, d bundle) part {
	wall, cpu := row{figure: "busy, " + name, aim: "below the tools", unit: "s"}, row{figure: "CPU, " + name, unit: "s"}
	peak := row{figure: "peak, " + name, aim: "32 MB", unit: "MB"}
	a := l.startAgent(b)
	key := a.upload(b, l.dir, d)
	peak.measured.add(a.deploy(b, key, d.kind).peak)
	stock, stockKey := (*subject)(nil), ""
	if l.withStock {
		stock = l.startStockAgent(b)
		stockKey = stock.upload(b, l.dir, d)
		peak.stock.add(stock.deploy(b, stockKey, d.kind).peak)
	}
	p := part{name: name}
	for range runs {
		o := a.deploy(b, key, d.kind)
		wall.measured.addTime(o.wall)
		cpu.measured.addTime(o.cpu)
		peak.measured.add(o.peak)
		p.add(o)
		tools, toolsCPU := l.plainTools(b, key, d.kind)
		wall.bound.addTime(tools)
		cpu.bound.addTime(toolsCPU)
		if stock != nil {
			o := stock.deploy(b, stockKey, d.kind)
			wall.stock.addTime(o.wall)
			cpu.stock.addTime(o.cpu)
			peak.stock.add(o.peak)
		}
	}
	var rest, stockRest memories
	time.Sleep(settle)
	rest.add(a.memory(b))
	endAll(b, a.process)
	if stock != nil {
		stockRest.add(stock.memory(b))
		endAll(b, stock.process)
	}
	l.row(wall)
	l.row(cpu)
	l.row(peak)
	rest.print(l.table, fmt.Sprintf("at rest after %d of %s", runs+1, name), stockRest)
	return p
}

// permissions compares the same bundle with and without a permissions section, one after the other.
func (l *lab) permissions(b *testing.B, without bundle) {
	if os.Geteuid() != 0 {
		l.row(row{figure: "busy with permissions", note: "needs root"})
		return
	}
	with := without
	with.permissions = true
	wall := row{figure: "busy, the same with permissions; bound: without", aim: "ratio 1.20", unit: "s"}
	cpu := row{figure: "CPU, the same", unit: "s"}
	one, two := l.startAgent(b), l.startAgent(b)
	withKey, withoutKey := one.upload(b, l.dir, with), two.upload(b, l.dir, without)
	one.deploy(b, withKey, with.kind)
	two.deploy(b, withoutKey, without.kind)
	for range runs {
		o := one.deploy(b, withKey, with.kind)
		wall.measured.addTime(o.wall)
		cpu.measured.addTime(o.cpu)
		o = two.deploy(b, withoutKey, without.kind)
		wall.bound.addTime(o.wall)
		cpu.bound.addTime(o.cpu)
	}
	endAll(b, one.process)
	endAll(b, two.process)
	l.row(wall)
	l.row(cpu)
}

// part tells where the time of a case goes: in two events, in those with scripts, and between events.
type part struct {
	name                              string
	download, install, hooks, between sample
}

func (p *part) add(o outcome) {
	var hooks time.Duration
	for _, event := range scripted {
		hooks += o.events[event]
	}
	download, install := o.events["DownloadBundle"], o.events["Install"]
	p.download.addTime(download)
	p.install.addTime(install)
	p.hooks.addTime(hooks)
	p.between.addTime(o.wall - download - install - hooks)
}

func printParts(parts []part) {
	fmt.Println("\n| where the agent's time goes | DownloadBundle | Install | five events with scripts | the rest |\n|---|---|---|---|---|")
	for _, p := range parts {
		fmt.Printf("| %s | %s | %s | %s | %s |\n", p.name, p.download.format("s"), p.install.format("s"), p.hooks.format("s"), p.between.format("s"))
	}
}

func check(b *testing.B, err error) {
	b.Helper()
	if err != nil {
		b.Fatal(err)
	}
}
