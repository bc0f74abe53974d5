package server

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"grapnel/internal/api"
	"grapnel/internal/audit"
	"grapnel/internal/auth"
	"grapnel/internal/awsapi"
	"grapnel/internal/awsjson"
	"grapnel/internal/engine"
	"grapnel/internal/hosts"
	"grapnel/internal/iam"
	"grapnel/internal/join"
	"grapnel/internal/logs"
	"grapnel/internal/objects"
	"grapnel/internal/seal"
	"grapnel/internal/sigv4"
)

// maxJSONBody is the longest body of a JSON or query request in bytes; it is read whole before its signature is checked.
const maxJSONBody = 1 << 20

// assemble connects the parts: the API and the host protocol store facts and wake the engine, the engine tells the host
// protocol whose poll to answer.
func (s *Server) assemble(ctx context.Context, identities *auth.Auth, key *seal.Key) (http.Handler, error) {
	var err error
	if s.bundles, err = s.opts.openBundles(ctx); err != nil {
		return nil, err
	}
	signer, err := hosts.LoadSigner(ctx, s.store, key)
	if err != nil {
		return nil, err
	}
	s.opts.Log.Info("specifications are signed; agents may pin the signer", "specification_signer_sha256", signer.Fingerprint())
	registry := newRegistry()
	s.engine = engine.New(engine.Options{
		Store: s.store, Log: s.opts.Log, Observe: engineMetrics(registry),
		Issued:    func(names []string) { s.hosts.Issued(names) },
		Reprieved: func() { s.hosts.Reprieved() },
	})
	tryTrigger, err := s.openNotices(ctx)
	if err != nil {
		return nil, err
	}
	operations := awsjson.NewMux(awsjson.Options{BodyLimit: maxJSONBody, Log: s.opts.Log})
	codedeploy := api.New(api.Options{
		Store: s.store, Region: s.opts.Region, AccountID: s.opts.AccountID, TokenKey: key.Derive("page-tokens"), Wake: s.engine.Wake,
		Deregistered: func(name string) { s.hosts.Issued([]string{name}) }, Sealer: key, Limits: s.opts.Limits, TryTrigger: tryTrigger,
		Authorize: func(ctx context.Context, action, resource string) error {
			return deniedJSON(identities.Allow(ctx, auth.FromContext(ctx), action, resource))
		},
		AllowHost: func(ctx context.Context, arn string) error {
			return deniedJSON(identities.AllowHost(ctx, auth.FromContext(ctx), arn))
		},
	})
	s.logs = logs.New(logs.Options{Store: s.store, Authorize: codedeploy.MayRead, Log: s.opts.Log})
	s.hosts = hosts.New(hosts.Options{
		Store: s.store, Signer: signer, Sealer: key, Region: s.opts.Region, Account: s.opts.AccountID, Wake: s.engine.Wake,
		Logs: s.logs, Log: s.opts.Log,
	})
	promauto.With(registry).NewGaugeFunc(prometheus.GaugeOpts{
		Namespace: "grapnel", Subsystem: "hosts", Name: "held_polls", Help: "Polls of registered hosts that wait for Work.",
	}, func() float64 { return float64(s.hosts.HeldPolls()) })
	codedeploy.Register(operations)
	s.audit = audit.New(audit.Options{Store: s.store, Keep: s.opts.AuditKeep, Log: s.opts.Log})
	joins := join.New(join.Options{
		Store: s.store, Auth: identities, Region: s.opts.Region, AccountID: s.opts.AccountID, Fingerprint: fingerprint(s.chain),
		HostTags: codedeploy.HostTags, Signer: signer.Fingerprint(), Source: s.opts.source, Log: s.opts.Log,
	})
	grapnel := awsjson.NewMux(awsjson.Options{BodyLimit: maxJSONBody, Log: s.opts.Log})
	s.logs.Register(grapnel)
	s.audit.Register(grapnel)
	joins.Register(grapnel)
	codedeploy.RegisterGrapnel(grapnel)
	objectsHandler := objects.New(s.bundles, objects.Options{
		Region: s.opts.Region, Domain: s.opts.Domain, Log: s.opts.Log,
		Authorize: func(ctx context.Context, a objects.Access) error {
			err := identities.AllowObject(ctx, auth.FromContext(ctx), a.Action, a.Bucket, a.Key, a.Version)
			if denied := (*auth.DeniedError)(nil); errors.As(err, &denied) {
				return fmt.Errorf("%w: %w", objects.ErrDenied, err)
			}
			return err
		},
	})
	iamHandler, stsHandler := iam.New(iam.Options{Auth: identities, Store: s.store, AccountID: s.opts.AccountID, Log: s.opts.Log})

	records := auditor{log: s.audit, source: s.opts.source}
	open := s.newOpen(registry, records.anonymous(joins))
	rt := &router{
		open: open, auth: identities, verifier: &sigv4.Verifier{MaxBody: maxJSONBody}, limits: newLimits(s.opts.RateLimit, registry),
		audit: records, source: s.opts.source, region: s.opts.Region, log: s.opts.Log,
	}
	rt.services = map[string]service{
		"codedeploy": {handler: operations, refuse: rt.refuseJSON, target: awsapi.Prefix, audited: true, requestID: requestID},
		"s3":         {handler: open.agentBucket(objectsHandler), refuse: rt.refuseS3, anyRegion: true, uploads: true, audited: true, requestID: s3RequestID},
		"iam":        {handler: iamHandler, refuse: rt.refuseQuery, anyRegion: true, audited: true, requestID: requestID},
		"sts":        {handler: stsHandler, refuse: rt.refuseQuery, anyRegion: true, audited: true, requestID: requestID},
		awsapi.GrapnelService: {
			handler: grapnel, refuse: rt.refuseJSON, target: awsapi.GrapnelPrefix, allow: rt.allow(awsapi.GrapnelService),
			audited: true, requestID: requestID,
		},
	}
	for name, prefix := range map[string]string{
		awsapi.CommandService: awsapi.CommandPrefix, awsapi.CommandServiceSecure: awsapi.CommandPrefixSecure,
	} {
		rt.services[name] = service{handler: callerOf(s.hosts), refuse: rt.refuseJSON, target: prefix, allow: rt.allowCommand, requestID: requestID}
	}
	return newObserver(rt, s.opts.Log, registry), nil
}

// callerOf tells the host protocol which host a request comes from.
func callerOf(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id := auth.FromContext(r.Context())
		next.ServeHTTP(w, r.WithContext(hosts.WithCaller(r.Context(), hosts.Caller{Name: id.Host, ARN: id.ARN})))
	})
}

// allow asks whether the sender may call an operation of a service.
func (rt *router) allow(service string) func(r *http.Request, id auth.Identity) error {
	return func(r *http.Request, id auth.Identity) error {
		return rt.auth.Allow(r.Context(), id, service+":"+operation(r), "*")
	}
}

// allowCommand asks whether the sender is a host. Root may do everything, but it is no host and has no commands.
func (rt *router) allowCommand(r *http.Request, id auth.Identity) error {
	if id.Kind == auth.Root {
		return awsjson.Errorf(awsapi.ClientException, "the root access key belongs to no host; %s needs the key of a registered host, from its on-premises file", operation(r))
	}
	return rt.auth.Allow(r.Context(), id, auth.ActionCommand+operation(r), "*")
}

// deniedJSON is an error of auth as the JSON protocol tells it.
func deniedJSON(err error) error {
	if denied, ok := errors.AsType[*auth.DeniedError](err); ok {
		return awsjson.Errorf(awsjson.AccessDeniedException, "%s", denied.Error())
	}
	return err
}
