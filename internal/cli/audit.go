package cli

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"grapnel/internal/awsapi"
	"grapnel/internal/backoff"
)

func auditCommand() *cobra.Command {
	var a auditReader
	var since, until string
	var follow, asJSON bool
	cmd := remote("audit", "Show who changed what, from where, and with which result",
		`Show the audit log: every change, and every change that was refused, oldest first. Without options these are the last 100.

  grapnel audit --since 2h
  grapnel audit --who alice --action codedeploy:CreateDeployment
  grapnel audit --follow --json`, 0,
		func(cmd *cobra.Command, c *client, _ []string) error {
			var err error
			if a.in.Since.Time, err = pointInTime(since, time.Now()); err != nil {
				return usageError("--since: %w", err)
			}
			if a.in.Until.Time, err = pointInTime(until, time.Now()); err != nil {
				return usageError("--until: %w", err)
			}
			if a.limit < 1 {
				return usageError("--limit must be at least 1")
			}
			if follow && until != "" {
				return usageError("--follow goes on, so that --until makes no sense with it")
			}
			a.client, a.show = c, auditTable(cmd.OutOrStdout())
			if asJSON {
				a.show = auditLines(cmd.OutOrStdout())
			}
			if err := a.past(cmd.Context()); err != nil || !follow {
				return err
			}
			return a.follow(cmd.Context())
		})
	f := cmd.Flags()
	f.StringVar(&a.who, "who", "", "only what this ARN did, or this user")
	f.StringVar(&a.action, "action", "", "only this action, such as codedeploy:CreateDeployment or iam:*")
	f.StringVar(&since, "since", "", "only what happened since: a time such as 2026-01-31T09:00:00Z, or how long ago, such as 2h")
	f.StringVar(&until, "until", "", "only what happened until then")
	f.IntVar(&a.limit, "limit", 100, "at most so many, the newest")
	f.BoolVar(&follow, "follow", false, "go on with what happens, until Ctrl-C")
	f.BoolVar(&asJSON, "json", false, "print a JSON object per line")
	return cmd
}

// pointInTime reads a time, or how long ago it was; "" is the zero time.
func pointInTime(text string, now time.Time) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	if ago, err := time.ParseDuration(text); err == nil && ago >= 0 {
		return now.Add(-ago), nil
	}
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return at, fmt.Errorf("%q is neither a time such as %s nor a duration such as 2h", text, now.UTC().Format(time.RFC3339))
	}
	return at, nil
}

// auditReader reads the audit log.
type auditReader struct {
	client      *client
	who, action string
	limit       int
	in          awsapi.ListAuditRecordsInput // since and until
	show        func([]awsapi.AuditRecord) error
	seen        int64 // place of the newest record that was shown
}

const (
	// auditPage is how many records one call brings.
	auditPage = 1000
	// auditEvery is how often a follower asks.
	auditEvery = time.Second
)

func (a *auditReader) list(ctx context.Context, in awsapi.ListAuditRecordsInput) ([]awsapi.AuditRecord, error) {
	if a.who != "" {
		in.Who = &a.who
	}
	if a.action != "" {
		in.Action = &a.action
	}
	var out awsapi.ListAuditRecordsOutput
	err := a.client.grapnel(ctx, "ListAuditRecords", &in, &out)
	return out.Records, err
}

// past shows the newest records up to the limit, oldest first.
func (a *auditReader) past(ctx context.Context) error {
	var all []awsapi.AuditRecord
	in := a.in
	for len(all) < a.limit {
		in.Limit = new(int64(min(a.limit-len(all), auditPage)))
		page, err := a.list(ctx, in)
		if err != nil {
			return err
		}
		all = append(all, page...)
		if len(page) < int(*in.Limit) {
			break
		}
		in.Before = &page[len(page)-1].Place
	}
	slices.Reverse(all)
	return a.tell(all)
}

// follow shows what happens from then on.
func (a *auditReader) follow(ctx context.Context) error {
	for answered := time.Now(); ; {
		if backoff.Sleep(ctx, auditEvery) != nil {
			return &exitError{exitInterrupted, errors.New("no longer following")}
		}
		in := a.in
		in.After, in.Limit = &a.seen, new(int64(auditPage))
		page, err := a.list(ctx, in)
		switch {
		case err == nil:
			answered = time.Now()
			if err := a.tell(page); err != nil {
				return err
			}
		case ctx.Err() == nil && (!passing(err) || time.Since(answered) > outage):
			return err
		}
	}
}

func (a *auditReader) tell(records []awsapi.AuditRecord) error {
	if len(records) > 0 {
		a.seen = records[len(records)-1].Place
	}
	return a.show(records)
}

// auditTable shows records in columns; the head comes before the first.
func auditTable(w io.Writer) func([]awsapi.AuditRecord) error {
	head := []string{"TIME", "WHO", "ACTION", "RESOURCE", "FROM", "RESULT"}
	return func(records []awsapi.AuditRecord) error {
		var rows [][]string
		for _, r := range records {
			result := r.Result
			if r.Message != "" {
				result += ": " + r.Message
			}
			var resources []string
			for _, arn := range r.Resources {
				resources = append(resources, shortARN(arn))
			}
			rows = append(rows, []string{
				shownTime(r.Time.Time), cmp.Or(shortARN(r.Who), "nobody known"), r.Action, orDash(strings.Join(resources, " ")), r.Source, result,
			})
		}
		if head == nil && rows == nil {
			return nil
		}
		err := writeTable(w, head, rows)
		head = nil
		return err
	}
}

// shortARN is an ARN without what is the same for all: partition, service, region and account. The JSON has the whole.
func shortARN(arn string) string {
	parts := strings.SplitN(arn, ":", 6)
	return parts[len(parts)-1]
}

// auditLines shows each record as a line of JSON.
func auditLines(w io.Writer) func([]awsapi.AuditRecord) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	return func(records []awsapi.AuditRecord) error {
		for _, r := range records {
			if err := e.Encode(r); err != nil {
				return err
			}
		}
		return nil
	}
}
