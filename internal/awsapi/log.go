package awsapi

import "reflect"

// Operations of Grapnel's own, which AWS does not have. They are signed for a service of their own, like those of every
// other one, so that a signature for CodeDeploy opens nothing else.
const (
	GrapnelService = "grapnel"
	GrapnelPrefix  = "Grapnel_20261122"
)

// GrapnelOperations lists the operations of Grapnel's own.
var GrapnelOperations = []Operation{{
	Name: "GetDeploymentLog", Input: reflect.TypeFor[GetDeploymentLogInput](), Output: reflect.TypeFor[GetDeploymentLogOutput](),
	Errors: []string{DeploymentDoesNotExistException, DeploymentIdRequiredException, InvalidInputException},
}}

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
