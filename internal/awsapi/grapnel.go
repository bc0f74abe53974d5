package awsapi

import "reflect"

// Operations of Grapnel's own, which AWS does not have. They are signed for a service of their own, like those of every
// other one, so that a signature for CodeDeploy opens nothing else.
const (
	GrapnelService = "grapnel"
	GrapnelPrefix  = "Grapnel_20261122"
)

// GrapnelOperations lists the operations of Grapnel's own.
var GrapnelOperations = []Operation{
	grapnelOperation[GetDeploymentLogInput, GetDeploymentLogOutput]("GetDeploymentLog",
		DeploymentDoesNotExistException, DeploymentIdRequiredException, InvalidInputException),
	grapnelOperation[CreateJoinTokenInput, CreateJoinTokenOutput]("CreateJoinToken",
		InvalidInputException, InvalidInstanceNameException, InvalidTagException, TagLimitExceededException),
	grapnelOperation[ListJoinTokensInput, ListJoinTokensOutput]("ListJoinTokens"),
	grapnelOperation[DeleteJoinTokenInput, DeleteJoinTokenOutput]("DeleteJoinToken", InvalidInputException),
	grapnelOperation[RotateHostKeyInput, RotateHostKeyOutput]("RotateHostKey", InvalidOperationException),
	grapnelOperation[PutGitHubAccountTokenInput, PutGitHubAccountTokenOutput]("PutGitHubAccountToken",
		ApplicationDoesNotExistException, GitHubAccountTokenDoesNotExistException, GitHubAccountTokenNameRequiredException,
		InvalidApplicationNameException, InvalidGitHubAccountTokenException, InvalidGitHubAccountTokenNameException, ResourceValidationException),
	grapnelOperation[ListAuditRecordsInput, ListAuditRecordsOutput]("ListAuditRecords", InvalidInputException),
}

func grapnelOperation[In, Out any](name string, errors ...string) Operation {
	return Operation{Name: name, Input: reflect.TypeFor[In](), Output: reflect.TypeFor[Out](), Errors: errors}
}

// LogLine is one line that a script wrote: without terminal sequences, valid UTF-8, its newline left out. A line that is
// too long for one update is sent as several.
type LogLine struct {
	Time   int64  `json:"t"`               // when the agent read it, in milliseconds since 1970
	Script string `json:"script,omitzero"` // its location in the AppSpec; "" for a line about the log itself
	Stream string `json:"stream,omitzero"` // stdout or stderr; "" for a line about the log itself
	Text   string `json:"text"`
}

// UpdateDiagnostics is the payload of the Diagnostics of PostHostCommandUpdate, with which an agent sends the output of a
// command's scripts while they run. It is Grapnel's own, and sent only to a server whose deployment specification asks for
// it (LogStream): AWS never gets one.
type UpdateDiagnostics struct {
	// Seq counts the updates of a command from 1. An update whose reply was lost is sent again under the same number, and
	// counts once.
	Seq   int64     `json:"seq"`
	Lines []LogLine `json:"log"`
}

// GetDeploymentLogInput is the input of GetDeploymentLog, a long poll.
type GetDeploymentLogInput struct {
	DeploymentId *string `json:"deploymentId,omitzero"`
	Host         *string `json:"host,omitzero"`  // only this host's; absent for all
	Event        *string `json:"event,omitzero"` // only this lifecycle event's; absent for all
	After        int64   `json:"after,omitzero"` // what the last reply had as its after; 0 for the beginning
	// WaitMilliseconds is how long to wait when nothing comes after After, at most 20 s; 0 for not at all.
	WaitMilliseconds int64 `json:"waitMilliseconds,omitzero"`
}

// GetDeploymentLogOutput is the output of GetDeploymentLog: the next part of the log, nothing when there is none yet.
type GetDeploymentLogOutput struct {
	After  int64      `json:"after"`
	Chunks []LogChunk `json:"chunks"`
}

// LogChunk is consecutive output of one lifecycle event on one host.
type LogChunk struct {
	Host  string    `json:"host"`
	Event string    `json:"event"`
	Lines []LogLine `json:"lines"`
}

// JoinTokenInfo tells of a join token, not the token itself: nobody is shown that again.
type JoinTokenInfo struct {
	TokenId      *string `json:"tokenId,omitzero"`
	InstanceName *string `json:"instanceName,omitzero"` // the only name that it lets a host take; absent for any
	Tags         []Tag   `json:"tags,omitzero"`         // what the host is tagged with
	CreatedBy    *string `json:"createdBy,omitzero"`    // an ARN
	CreateTime   Epoch   `json:"createTime,omitzero"`
	ExpireTime   Epoch   `json:"expireTime,omitzero"`
	UseTime      Epoch   `json:"useTime,omitzero"` // absent while unused
	UsedBy       *string `json:"usedBy,omitzero"`  // the name of the host that joined with it
}

// CreateJoinTokenInput is the input of CreateJoinToken.
type CreateJoinTokenInput struct {
	InstanceName    *string `json:"instanceName,omitzero"`
	Tags            []Tag   `json:"tags,omitzero"`
	LifetimeSeconds *int64  `json:"lifetimeSeconds,omitzero"` // absent for one hour
}

// CreateJoinTokenOutput is the output of CreateJoinToken.
type CreateJoinTokenOutput struct {
	Token     *string        `json:"token,omitzero"` // for `codedeploy-agent join URL --token`; shown this once
	TokenInfo *JoinTokenInfo `json:"tokenInfo,omitzero"`
}

// ListJoinTokensInput is the input of ListJoinTokens.
type ListJoinTokensInput struct{}

// ListJoinTokensOutput is the output of ListJoinTokens: newest first, with used and expired ones that are still kept.
type ListJoinTokensOutput struct {
	Tokens []JoinTokenInfo `json:"tokens"`
}

// DeleteJoinTokenInput is the input of DeleteJoinToken; a token that does not exist is no error.
type DeleteJoinTokenInput struct {
	TokenId *string `json:"tokenId,omitzero"`
}

// DeleteJoinTokenOutput is the output of DeleteJoinToken.
type DeleteJoinTokenOutput struct {
	TokenId *string `json:"tokenId,omitzero"` // of the token that was deleted; absent when there was none
}

// JoinPath is where a host sends a JoinInput, unsigned: the token is its credential.
const JoinPath = "/join"

// JoinInput is what a host sends to join. Attempt is a secret of the host's own making: with the same one it may ask again
// when it has not seen the reply, and nobody else can.
type JoinInput struct {
	Token        *string `json:"token,omitzero"`
	Attempt      *string `json:"attempt,omitzero"`
	InstanceName *string `json:"instanceName,omitzero"` // absent: the one that the token names
}

// JoinOutput is what a host needs to know to poll.
type JoinOutput struct {
	InstanceName        *string `json:"instanceName,omitzero"`
	IamUserArn          *string `json:"iamUserArn,omitzero"`
	AccessKeyId         *string `json:"accessKeyId,omitzero"`
	SecretAccessKey     *string `json:"secretAccessKey,omitzero"`
	Region              *string `json:"region,omitzero"`
	SpecificationSigner *string `json:"specificationSigner,omitzero"` // what the agent's specification_signer takes
}

// RotateHostKeyInput is the input of RotateHostKey, which only a host may call, for itself. It is called twice: signed with
// the old key it makes a new one, besides the old one; with Retire, signed with the new key, it deletes the others.
type RotateHostKeyInput struct {
	Retire *bool `json:"retire,omitzero"`
}

// RotateHostKeyOutput is the output of RotateHostKey: the new key, nothing with Retire.
type RotateHostKeyOutput struct {
	AccessKeyId     *string `json:"accessKeyId,omitzero"`
	SecretAccessKey *string `json:"secretAccessKey,omitzero"`
}

// PutGitHubAccountTokenInput is the input of PutGitHubAccountToken, which stores or replaces a token. With an application
// name it also connects the application to it: deployments of GitHub revisions then fetch with the token.
type PutGitHubAccountTokenInput struct {
	TokenName       *string `json:"tokenName,omitzero"`
	Token           *string `json:"token,omitzero"` // absent: connect the application to a token that is there
	ApplicationName *string `json:"applicationName,omitzero"`
}

// PutGitHubAccountTokenOutput is the output of PutGitHubAccountToken.
type PutGitHubAccountTokenOutput struct{}

// ListAuditRecordsInput is the input of ListAuditRecords; absent members select everything.
type ListAuditRecordsInput struct {
	After  *int64  `json:"after,omitzero"`  // a place: only what follows it, oldest first
	Before *int64  `json:"before,omitzero"` // a place: only what came before it; without After, newest first
	Who    *string `json:"who,omitzero"`    // an ARN, or its part after the last slash
	Action *string `json:"action,omitzero"` // such as codedeploy:CreateDeployment or iam:*
	Since  Epoch   `json:"since,omitzero"`
	Until  Epoch   `json:"until,omitzero"`
	Limit  *int64  `json:"limit,omitzero"` // at most 1000; absent for 100
}

// ListAuditRecordsOutput is the output of ListAuditRecords.
type ListAuditRecordsOutput struct {
	Records []AuditRecord `json:"records"`
}

// AuditRecord tells of one change, or of an attempt that was refused.
type AuditRecord struct {
	Place     int64    `json:"place"` // counted from 1, in the order of time
	Time      Epoch    `json:"time,omitzero"`
	Who       string   `json:"who"` // an ARN; "" for somebody unknown
	AccessKey string   `json:"accessKey,omitzero"`
	Source    string   `json:"source"` // the address that the request came from
	Action    string   `json:"action"`
	Resources []string `json:"resources,omitzero"`
	RequestId string   `json:"requestId"`
	Result    string   `json:"result"` // "ok", or the name of the error
	Message   string   `json:"message,omitzero"`
}
