package crash

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/service/codedeploy"
	"github.com/aws/aws-sdk-go-v2/service/codedeploy/types"
	"github.com/google/go-cmp/cmp"

	"grapnel/internal/awsapi"
	"grapnel/internal/awsjson"
	"grapnel/test/harness"
)

// TestKillWhileHostsJoin kills the server while hosts join and applications are made. After its restart every change has its
// record in the audit log, every record its change, and each host gets in with the token and the attempt that it had.
func TestKillWhileHostsJoin(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	server := harness.StartServer(t, dir)
	tokens := map[string]string{}
	for killed := range 3 {
		for i := range 8 {
			host := fmt.Sprintf("web-%d-%d", killed, i)
			var out awsapi.CreateJoinTokenOutput
			grapnel(t, server, "CreateJoinToken", awsapi.CreateJoinTokenInput{InstanceName: &host}, &out)
			tokens[host] = *out.Token
		}
		killInABurst(t, server, tokens, killed)
		server = harness.StartServer(t, dir)
		compareWithAudit(t, server)
	}
	for host, token := range tokens {
		if err := join(server.URL, host, token); err != nil {
			t.Errorf("%s: %v", host, err)
		}
	}
	compareWithAudit(t, server)
}

// killInABurst lets hosts join and applications be made at once, and kills the server once a few of them are there.
func killInABurst(t *testing.T, server *harness.Server, tokens map[string]string, burst int) {
	t.Helper()
	api := server.CodeDeploy(t)
	replies := make(chan struct{}, len(tokens)+1000)
	var senders sync.WaitGroup
	for host, token := range tokens {
		senders.Go(func() {
			if join(server.URL, host, token) == nil {
				replies <- struct{}{}
			}
		})
	}
	for sender := range 4 {
		senders.Go(func() {
			for i := 0; ; i++ {
				name := fmt.Sprintf("app-%d-%d-%d", burst, sender, i)
				if _, err := api.CreateApplication(context.Background(), &codedeploy.CreateApplicationInput{ApplicationName: &name}); err != nil {
					return // the server is gone
				}
				replies <- struct{}{}
			}
		})
	}
	for range 5 + 7*burst {
		<-replies
	}
	server.Kill()
	senders.Wait()
}

// compareWithAudit holds what there is to what the audit log says was made.
func compareWithAudit(t *testing.T, server *harness.Server) {
	t.Helper()
	ctx, api := context.Background(), server.CodeDeploy(t)
	there := []string{}
	for pages := codedeploy.NewListApplicationsPaginator(api, &codedeploy.ListApplicationsInput{}); pages.HasMorePages(); {
		page, err := pages.NextPage(ctx)
		if err != nil {
			t.Fatal(err)
		}
		there = append(there, page.Applications...)
	}
	hosts, err := api.ListOnPremisesInstances(ctx, &codedeploy.ListOnPremisesInstancesInput{RegistrationStatus: types.RegistrationStatusRegistered})
	if err != nil {
		t.Fatal(err)
	}
	there = append(there, hosts.InstanceNames...)
	slices.Sort(there)
	if diff := cmp.Diff(recorded(t, server), there); diff != "" {
		t.Errorf("what was made as the audit log says (-) and what there is (+):\n%s", diff)
	}
}

// recorded returns the names of the applications and hosts that were made, in order. A host that asked again has two records.
func recorded(t *testing.T, server *harness.Server) (names []string) {
	t.Helper()
	for after := int64(0); ; {
		var out awsapi.ListAuditRecordsOutput
		grapnel(t, server, "ListAuditRecords", awsapi.ListAuditRecordsInput{After: &after, Limit: aws.Int64(1000)}, &out)
		if len(out.Records) == 0 {
			slices.Sort(names)
			return slices.Compact(names)
		}
		for _, r := range out.Records {
			after = r.Place
			if r.Result == "ok" && (r.Action == "grapnel:Join" || r.Action == "codedeploy:CreateApplication") {
				last := r.Resources[len(r.Resources)-1]
				names = append(names, last[strings.LastIndexAny(last, ":/")+1:])
			}
		}
	}
}

// grapnel calls an operation of Grapnel's own as root.
func grapnel(t *testing.T, server *harness.Server, operation string, in, out any) {
	t.Helper()
	key := server.RootKey(t)
	client := awsjson.Client{Endpoint: server.URL, HTTP: &http.Client{Timeout: harness.Patience}, Sign: func(r *http.Request, bodyHash string) error {
		return v4.NewSigner().SignHTTP(r.Context(), key, r, bodyHash, awsapi.GrapnelService, "us-east-1", time.Now())
	}}
	if err := client.Call(context.Background(), awsapi.GrapnelPrefix+"."+operation, in, out); err != nil {
		t.Fatal(err)
	}
}

// join asks to join once.
func join(url, host, token string) error {
	attempt := "the attempt of " + host
	body, err := json.Marshal(awsapi.JoinInput{Token: &token, Attempt: &attempt, InstanceName: &host})
	if err != nil {
		return err
	}
	resp, err := http.Post(url+awsapi.JoinPath, "application/json", bytes.NewReader(body))
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	var reply struct {
		Message string `json:"message"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&reply); err != nil || resp.StatusCode != http.StatusOK {
		return fmt.Errorf("status %d, %s: %w", resp.StatusCode, reply.Message, err)
	}
	return nil
}
