package server

import (
	"context"
	"errors"
	"fmt"
	"net/url"

	"grapnel/internal/awsapi"
	"grapnel/internal/notify"
)

// SNS is the service through which the triggers of deployment groups are told. Without an Endpoint nobody is told.
type SNS struct {
	Endpoint string // URL

	AccessKeyID, SecretAccessKey string // that the service knows the server by
}

// check tells what is wrong with the options, and what to do. insecure allows plain HTTP to other machines.
func (n SNS) check(insecure bool) error {
	if n == (SNS{}) {
		return nil
	}
	endpoint, err := url.Parse(n.Endpoint)
	switch {
	case err != nil || endpoint.Scheme != "http" && endpoint.Scheme != "https" || endpoint.Host == "":
		return fmt.Errorf("--sns-endpoint %q must be a URL such as https://sns.us-east-1.amazonaws.com; the other --sns- options need it", n.Endpoint)
	case n.AccessKeyID == "" || n.SecretAccessKey == "":
		return errors.New("--sns-endpoint needs a key of that service: set GRAPNEL_SNS_ACCESS_KEY_ID and GRAPNEL_SNS_SECRET_ACCESS_KEY")
	case endpoint.Scheme == "http" && !loopback(endpoint.Hostname()) && !insecure:
		return fmt.Errorf("notices would cross the network to %s in clear; use https, or --insecure if something on the way encrypts", n.Endpoint)
	}
	return nil
}

// tryTrigger sends a new trigger's topic a first message, or says what it is to be told in vain.
type tryTrigger = func(ctx context.Context, group awsapi.DeploymentGroupInfo, trigger awsapi.TriggerConfig) error

// openNotices makes the store queue notices and something send them. Without a service to send them to it warns instead:
// whoever waits for a notice would wait for ever.
func (s *Server) openNotices(ctx context.Context) (tryTrigger, error) {
	o := s.opts
	if o.SNS.Endpoint != "" {
		s.notices = notify.New(notify.Options{
			Store: s.store, Endpoint: o.SNS.Endpoint, Region: o.Region, AccountID: o.AccountID,
			AccessKeyID: o.SNS.AccessKeyID, SecretAccessKey: o.SNS.SecretAccessKey, Log: o.Log,
		})
		s.store.Noticed = s.notices.Wake
		return s.notices.Try, nil
	}
	groups, err := s.store.TriggeredGroups(ctx)
	if err != nil {
		return nil, fmt.Errorf("look for triggers: %w", err)
	}
	if groups > 0 {
		o.Log.Warn("deployment groups have triggers, but this server sends no notices; name an SNS service with --sns-endpoint", "groups", groups)
	}
	return func(_ context.Context, group awsapi.DeploymentGroupInfo, trigger awsapi.TriggerConfig) error {
		o.Log.Warn("a deployment group has a new trigger, but this server sends no notices; name an SNS service with --sns-endpoint",
			"application", awsapi.Value(group.ApplicationName), "group", awsapi.Value(group.DeploymentGroupName),
			"trigger", awsapi.Value(trigger.TriggerName), "topic", awsapi.Value(trigger.TriggerTargetArn))
		return nil
	}, nil
}
