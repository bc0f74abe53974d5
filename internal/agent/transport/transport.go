// Package transport makes the HTTP client of the agent: proxy, certificate authorities and time limits as configured
// (agent.md 2, 3.4).
package transport

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"grapnel/internal/agent/config"
)

const connectTimeout = 15 * time.Second

// New returns the client for the command service and for the sources of bundles. Each call has a time limit of its own.
func New(cfg config.Config) (*http.Client, error) {
	roots, err := trustedRoots(cfg.CAFile)
	if err != nil {
		return nil, err
	}
	return &http.Client{CheckRedirect: stay, Transport: &http.Transport{
		Proxy:                 proxyOf(cfg.ProxyURI),
		DialContext:           (&net.Dialer{Timeout: connectTimeout}).DialContext,
		TLSClientConfig:       &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout:   connectTimeout,
		ResponseHeaderTimeout: cfg.HTTPReadTimeout,
		IdleConnTimeout:       90 * time.Second,
		MaxIdleConnsPerHost:   4,
	}}, nil
}

// stay keeps a signed request, and with it the session token in its headers, where it was sent.
func stay(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// proxyOf returns the choice of proxy: the one of the configuration for everything but this machine itself, else the one of
// the environment.
func proxyOf(address *url.URL) func(*http.Request) (*url.URL, error) {
	if address == nil {
		return http.ProxyFromEnvironment
	}
	return func(r *http.Request) (*url.URL, error) {
		if config.IsLoopback(r.URL.Hostname()) {
			return nil, nil
		}
		return address, nil
	}
}

// trustedRoots are the system's certificate authorities, those named by the variables that stock agents read (agent.md 2),
// and the file of the configuration.
func trustedRoots(caFile string) (*x509.CertPool, error) {
	roots, err := x509.SystemCertPool()
	if err != nil {
		roots = x509.NewCertPool() // a system without any: what is named below may be enough
	}
	type authority struct{ source, file string }
	named := []authority{
		{"SSL_CERT_FILE", os.Getenv("SSL_CERT_FILE")}, {"AWS_SSL_CA_BUNDLE", os.Getenv("AWS_SSL_CA_BUNDLE")}, {"ca_file", caFile},
	}
	const directory = "AWS_SSL_CA_DIRECTORY"
	if dir := os.Getenv(directory); dir != "" {
		inDir, err := filepath.Glob(filepath.Join(dir, "*.pem"))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", directory, err)
		}
		for _, file := range inDir {
			named = append(named, authority{directory, file})
		}
	}
	for _, n := range named {
		if err := trust(roots, n.file); err != nil {
			return nil, fmt.Errorf("certificate authorities (%s): %w", n.source, err)
		}
	}
	return roots, nil
}

// trust adds what a file holds; "" is no file.
func trust(roots *x509.CertPool, file string) error {
	if file == "" {
		return nil
	}
	pem, err := os.ReadFile(file)
	if err == nil && !roots.AppendCertsFromPEM(pem) {
		err = fmt.Errorf("%s holds no certificate in PEM form", file)
	}
	return err
}
