package awsapi

import (
	"encoding/json"
	"reflect"
)

// Target prefixes of the host-command service (agent.md 4.1). Agents with enable_auth_policy use the second.
const (
	CommandPrefix       = "CodeDeployCommandService_v20141006"
	CommandPrefixSecure = "CodeDeployCommandService"
)

// Service names in the credential scope of requests to the host-command service (agent.md 4.1).
const (
	CommandService       = "codedeploy-commands"
	CommandServiceSecure = "codedeploy-commands-secure"
)

// AgentVersionHeader carries the agent's version on every request to the host-command service (agent.md 4.1).
const AgentVersionHeader = "X-Amz-Codedeploy-Agent-Version"

// Errors of the host-command service (agent.md 4.2).
const (
	ClientException = "ClientException" // the agent's fault, 4xx
	ServerException = "ServerException" // the service's fault, 5xx
)

// CommandOperations lists the operations of the host-command service (agent.md 4.2).
var CommandOperations = []Operation{
	commandOperation[GetDeploymentSpecificationInput, GetDeploymentSpecificationOutput]("GetDeploymentSpecification"),
	commandOperation[PollHostCommandInput, PollHostCommandOutput]("PollHostCommand"),
	commandOperation[PostHostCommandUpdateInput, PostHostCommandUpdateOutput]("PostHostCommandUpdate"),
	commandOperation[PutHostCommandAcknowledgementInput, PutHostCommandAcknowledgementOutput]("PutHostCommandAcknowledgement"),
	commandOperation[PutHostCommandCompleteInput, PutHostCommandCompleteOutput]("PutHostCommandComplete"),
}

func commandOperation[In, Out any](name string) Operation {
	return Operation{
		Name: name, Input: reflect.TypeFor[In](), Output: reflect.TypeFor[Out](), Errors: []string{ClientException, ServerException},
	}
}

// CommandStatus is the status of a host command.
type CommandStatus string

// The values of CommandStatus.
const (
	CommandStatusPending    CommandStatus = "Pending"
	CommandStatusInProgress CommandStatus = "InProgress"
	CommandStatusSucceeded  CommandStatus = "Succeeded"
	CommandStatusFailed     CommandStatus = "Failed"
)

// Values returns every value of CommandStatus.
func (CommandStatus) Values() []CommandStatus {
	return []CommandStatus{CommandStatusPending, CommandStatusInProgress, CommandStatusSucceeded, CommandStatusFailed}
}

// Formats of an Envelope: the signed specification, plain diagnostics, and the unsigned specification, which stock
// agents refuse (agent.md 5.1).
const (
	FormatPKCS7 = "PKCS7/JSON"
	FormatJSON  = "JSON"
	FormatText  = "TEXT/JSON"
)

// MaxEnvelopePayload is the longest payload of an Envelope, in bytes (agent.md 4.2).
const MaxEnvelopePayload = 8192

// Envelope carries a document of a named format inside a JSON string.
type Envelope struct {
	Format  *string `json:"Format,omitzero"`
	Payload *string `json:"Payload,omitzero"`
}

// PollHostCommandInput is the input of PollHostCommand, a long poll (agent.md 4.3).
type PollHostCommandInput struct {
	HostIdentifier *string `json:"HostIdentifier,omitzero"`
}

// PollHostCommandOutput is the output of PollHostCommand; HostCommand is absent when there is nothing to do.
type PollHostCommandOutput struct {
	HostCommand *HostCommand `json:"HostCommand,omitzero"`
}

// HostCommand is one Work as the agent's protocol names it. Agents refuse a command whose HostIdentifier is no part of
// their own (agent.md 4.3).
type HostCommand struct {
	HostIdentifier        *string `json:"HostIdentifier,omitzero"`
	HostCommandIdentifier *string `json:"HostCommandIdentifier,omitzero"`
	DeploymentExecutionId *string `json:"DeploymentExecutionId,omitzero"`
	CommandName           *string `json:"CommandName,omitzero"`
	Nonce                 *int64  `json:"Nonce,omitzero"`
}

// GetDeploymentSpecificationInput is the input of GetDeploymentSpecification. The execution id has four parts
// separated by slashes (agent.md 4.2).
type GetDeploymentSpecificationInput struct {
	DeploymentExecutionId *string `json:"DeploymentExecutionId,omitzero"`
	HostIdentifier        *string `json:"HostIdentifier,omitzero"`
}

// GetDeploymentSpecificationOutput is the output of GetDeploymentSpecification. DeploymentSystem must be CodeDeploy
// (agent.md 4.4).
type GetDeploymentSpecificationOutput struct {
	DeploymentSystem        *string                  `json:"DeploymentSystem,omitzero"`
	DeploymentSpecification *DeploymentSpecification `json:"DeploymentSpecification,omitzero"`
}

// DeploymentSpecification holds the signed specification; agents read GenericEnvelope only (agent.md 4.2).
type DeploymentSpecification struct {
	GenericEnvelope *Envelope `json:"GenericEnvelope,omitzero"`
	VariantId       *string   `json:"VariantId,omitzero"`
	VariantEnvelope *Envelope `json:"VariantEnvelope,omitzero"`
}

// PutHostCommandAcknowledgementInput is the input of PutHostCommandAcknowledgement. The payload of Diagnostics is an
// AcknowledgementDiagnostics.
type PutHostCommandAcknowledgementInput struct {
	HostCommandIdentifier *string   `json:"HostCommandIdentifier,omitzero"`
	Diagnostics           *Envelope `json:"Diagnostics,omitzero"`
}

// PutHostCommandAcknowledgementOutput is the output of PutHostCommandAcknowledgement. The agent goes on unless the
// status is Succeeded or Failed (agent.md 4.4).
type PutHostCommandAcknowledgementOutput struct {
	CommandStatus CommandStatus `json:"CommandStatus,omitzero"`
}

// PutHostCommandCompleteInput is the input of PutHostCommandComplete. The payload of Diagnostics is a
// CompletionDiagnostics.
type PutHostCommandCompleteInput struct {
	HostCommandIdentifier *string       `json:"HostCommandIdentifier,omitzero"`
	CommandStatus         CommandStatus `json:"CommandStatus,omitzero"`
	Diagnostics           *Envelope     `json:"Diagnostics,omitzero"`
}

// PutHostCommandCompleteOutput is the output of PutHostCommandComplete.
type PutHostCommandCompleteOutput struct{}

// PostHostCommandUpdateInput is the input of PostHostCommandUpdate, which stock agents never call.
type PostHostCommandUpdateInput struct {
	HostCommandIdentifier   *string   `json:"HostCommandIdentifier,omitzero"`
	EstimatedCompletionTime Epoch     `json:"EstimatedCompletionTime,omitzero"`
	Diagnostics             *Envelope `json:"Diagnostics,omitzero"`
}

// PostHostCommandUpdateOutput is the output of PostHostCommandUpdate.
type PostHostCommandUpdateOutput struct {
	CommandStatus CommandStatus `json:"CommandStatus,omitzero"`
}

// AcknowledgementDiagnostics is what an agent says when it takes a command (agent.md 4.4).
type AcknowledgementDiagnostics struct {
	IsCommandNoop bool `json:"IsCommandNoop"`
}

// CompletionDiagnostics is what an agent says when a command has ended: exactly these four members (agent.md 4.7).
type CompletionDiagnostics struct {
	ErrorCode  DiagnosticsCode `json:"error_code"`
	ScriptName string          `json:"script_name"`
	Message    string          `json:"message"`
	Log        string          `json:"log"`
}

// DiagnosticsCode is the number by which an agent tells how a command ended (agent.md 4.7).
type DiagnosticsCode int

// The values of DiagnosticsCode.
const (
	CodeSuccess             DiagnosticsCode = 0
	CodeScriptMissing       DiagnosticsCode = 1
	CodeScriptNotExecutable DiagnosticsCode = 2
	CodeScriptTimedOut      DiagnosticsCode = 3
	CodeScriptFailed        DiagnosticsCode = 4
	CodeUnknownError        DiagnosticsCode = 5
	CodeOutputsLeftOpen     DiagnosticsCode = 6
	CodeFailedAfterRestart  DiagnosticsCode = 7
)

// UnmarshalJSON reads a number; the word that a stock agent sends when it could not encode its own diagnostics
// (agent.md 4.7) is an unknown error.
func (c *DiagnosticsCode) UnmarshalJSON(data []byte) error {
	if len(data) > 0 && data[0] == '"' {
		*c = CodeUnknownError
		return nil
	}
	return json.Unmarshal(data, (*int)(c))
}

// LifecycleErrorCode returns the code by which the CodeDeploy API shows c (service.md 3.4).
func (c DiagnosticsCode) LifecycleErrorCode() LifecycleErrorCode {
	shown := LifecycleErrorCode("").Values() // codes 0 to 5 are the API's values in order
	if c < 0 || int(c) >= len(shown) {
		return LifecycleErrorCodeUnknownError
	}
	return shown[c]
}
