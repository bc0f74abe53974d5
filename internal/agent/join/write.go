package join

import (
	"bytes"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"grapnel/internal/agent/config"
	"grapnel/internal/atomicfile"
	"grapnel/internal/awsapi"
)

// write writes what the agent needs, its identity last: an agent that waits for one finds everything else.
func (h *host) write(reply awsapi.JoinOutput) error {
	if err := h.writeAuthority(); err != nil {
		return err
	}
	settings, err := h.settings(awsapi.Value(reply.SpecificationSigner))
	if err != nil {
		return err
	}
	mode := fs.FileMode(0o644)
	if info, err := os.Stat(h.settingsFile); err == nil {
		mode = info.Mode().Perm()
	}
	if err := replace(h.settingsFile, settings, mode, h.settingsFile); err != nil {
		return err
	}
	identity, err := config.Set(nil, map[string]string{
		"region": awsapi.Value(reply.Region), "iam_user_arn": awsapi.Value(reply.IamUserArn),
		"aws_access_key_id": awsapi.Value(reply.AccessKeyId), "aws_secret_access_key": awsapi.Value(reply.SecretAccessKey),
	}, fmt.Sprintf("Who this host is to %s, written by codedeploy-agent join. The secret is its own: keep it here.", h.server))
	if err != nil {
		return err
	}
	h.attempt.Host = awsapi.Value(reply.IamUserArn)
	if err := h.writeAttempt(); err != nil {
		return err
	}
	return replace(h.identityFile, identity, 0o600, h.cfg.RootDir)
}

// replace writes a file that belongs to whoever owns another file or folder of the agent, when that is there. It is given
// away before it is in place: an agent that looks in between could not read it. What lies behind a link keeps its owner.
func replace(path string, content []byte, mode fs.FileMode, ownerOf string) error {
	target, err := behind(path)
	if err != nil {
		return err
	}
	if target != path {
		ownerOf = target
	}
	temp := target + ".new"
	if err := atomicfile.WriteFile(temp, content, mode); err != nil {
		return err
	}
	if err := giveTo(ownerOf, temp); err != nil {
		return err
	}
	return atomicfile.Move(temp, target)
}

// behind returns the file that a path stands for: where it leads when it is a link, which stays one then; else the path itself,
// be there a file or not.
func behind(path string) (string, error) {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) || err == nil && info.Mode()&fs.ModeSymlink == 0 {
		return path, nil
	} else if err != nil {
		return "", err
	}
	target, err := filepath.EvalSymlinks(path)
	if errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("%s is a link to a file that does not exist; make that file, or remove the link", path)
	}
	return target, err
}

// settings returns the configuration file as it will be.
func (h *host) settings(signer string) ([]byte, error) {
	data, err := config.ReadFile(h.settingsFile)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	values := map[string]string{"deploy_control_endpoint": h.server.String(), "s3_endpoint_override": h.server.String()}
	if h.pin != nil {
		values["ca_file"] = h.authorityFile()
	}
	if signer != "" || h.cfg.SpecificationSigner != "" { // another server's signer must not stay
		values["specification_signer_sha256"] = signer
	}
	changed, err := config.Set(data, values, "Set by codedeploy-agent join:")
	if err == nil {
		_, _, err = config.Parse(changed) // every later command, join too, begins with that
	}
	if err != nil {
		return nil, fmt.Errorf("configuration file %s: %w", h.settingsFile, err)
	}
	return changed, nil
}

func (h *host) authorityFile() string {
	return filepath.Join(filepath.Dir(h.settingsFile), "grapnel-ca.pem")
}

// writeAuthority keeps the certificate that the token pins, where the agent finds it without an environment. Authorities that
// somebody has named for other services are kept with it.
func (h *host) writeAuthority() error {
	if h.pin == nil {
		return nil
	}
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: h.pin.Certificate().Raw})
	if named := h.cfg.CAFile; named != "" && named != h.authorityFile() {
		others, err := config.ReadFile(named)
		if err != nil {
			return fmt.Errorf("ca_file: %w", err)
		}
		text = bytes.Join([][]byte{text, others}, nil)
	}
	return atomicfile.WriteFile(h.authorityFile(), text, 0o644)
}
