package keys

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"

	"gocloud.dev/gcerrors"
	"gocloud.dev/secrets"
)

// The transit engine of HashiCorp Vault and of OpenBao, by its HTTP API. gocloud.dev's own driver brings Vault's client, which is under the MPL and has
// thirty dependencies, for two requests.
//
//	hashivault://NAME?engine=transit
//
// VAULT_ADDR, VAULT_NAMESPACE and VAULT_TOKEN, or the file that VAULT_TOKEN_FILE names, are read from the environment.

func init() { secrets.DefaultURLMux().RegisterKeeper("hashivault", vaultOpener{}) }

type vaultOpener struct{}

func (vaultOpener) OpenKeeperURL(_ context.Context, u *url.URL) (*secrets.Keeper, error) {
	v := &vault{key: u.Host + u.Path, engine: "transit", namespace: os.Getenv("VAULT_NAMESPACE"), token: os.Getenv("VAULT_TOKEN")}
	for name, values := range u.Query() {
		if name != "engine" || len(values) != 1 {
			return nil, errors.New("the address of a Vault key takes engine, and nothing else")
		}
		v.engine = values[0]
	}
	for _, s := range []string{v.key, v.engine} {
		if s == "" || strings.Trim(s, "/") != s || strings.Contains(s, "..") || strings.ContainsAny(s, "?#%") {
			return nil, errors.New("no key of Vault's has that name")
		}
	}
	if name := os.Getenv("VAULT_TOKEN_FILE"); name != "" && v.token == "" {
		b, err := os.ReadFile(name)
		if err != nil || len(b) > 4096 {
			return nil, errors.New("the file of Vault's token cannot be read")
		}
		v.token = strings.TrimSpace(string(b))
	}
	base, err := url.Parse(os.Getenv("VAULT_ADDR"))
	if err != nil || base.Host == "" || v.token == "" {
		return nil, errors.New("VAULT_ADDR and VAULT_TOKEN, or VAULT_TOKEN_FILE, are not set")
	}
	if ip := net.ParseIP(base.Hostname()); base.Scheme != "https" && !(base.Scheme == "http" && (base.Hostname() == "localhost" || ip != nil && ip.IsLoopback())) {
		return nil, errors.New("reach Vault by https, or on this machine") // the master key goes over it
	}
	v.base = base
	// A redirection could carry the token elsewhere; Vault's own standby servers are told apart by their load balancer.
	v.client = &http.Client{Transport: http.DefaultTransport.(*http.Transport).Clone(), CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	return secrets.NewKeeper(v), nil
}

type vault struct {
	base                          *url.URL
	key, engine, namespace, token string
	client                        *http.Client
}

// vaultError is Vault's answer as far as it is repeated: its status.
type vaultError int

func (e vaultError) Error() string { return fmt.Sprintf("Vault answers %d", int(e)) }

// maxVaultAnswer bounds what is read of an answer.
const maxVaultAnswer = 64 << 10

func (v *vault) do(ctx context.Context, action string, in, out any) error {
	body, err := json.Marshal(in)
	if err != nil {
		return err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, v.base.JoinPath("v1", v.engine, action, v.key).String(), bytes.NewReader(body))
	if err != nil {
		return err
	}
	r.Header.Set("X-Vault-Token", v.token)
	r.Header.Set("X-Vault-Request", "true")
	if v.namespace != "" {
		r.Header.Set("X-Vault-Namespace", v.namespace)
	}
	res, err := v.client.Do(r)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(io.LimitReader(res.Body, maxVaultAnswer))
	if err != nil {
		return err
	}
	if res.StatusCode != http.StatusOK {
		return vaultError(res.StatusCode)
	}
	return json.Unmarshal(b, &struct {
		Data any `json:"data"`
	}{out})
}

func (v *vault) Encrypt(ctx context.Context, plaintext []byte) ([]byte, error) {
	var out struct {
		Ciphertext string `json:"ciphertext"`
	}
	err := v.do(ctx, "encrypt", map[string]string{"plaintext": base64.StdEncoding.EncodeToString(plaintext)}, &out)
	if err == nil && out.Ciphertext == "" {
		err = errors.New("no ciphertext came from Vault")
	}
	return []byte(out.Ciphertext), err
}

func (v *vault) Decrypt(ctx context.Context, ciphertext []byte) ([]byte, error) {
	var out struct {
		Plaintext []byte `json:"plaintext"`
	}
	err := v.do(ctx, "decrypt", map[string]string{"ciphertext": string(ciphertext)}, &out)
	return out.Plaintext, err
}

func (v *vault) Close() error {
	v.client.CloseIdleConnections()
	return nil
}

func (v *vault) ErrorAs(err error, i any) bool { return false }

func (v *vault) ErrorCode(err error) gcerrors.ErrorCode {
	var status vaultError
	if !errors.As(err, &status) {
		return gcerrors.Unknown
	}
	switch int(status) {
	case http.StatusBadRequest:
		return gcerrors.InvalidArgument
	case http.StatusForbidden:
		return gcerrors.PermissionDenied
	case http.StatusNotFound:
		return gcerrors.NotFound
	case http.StatusTooManyRequests:
		return gcerrors.ResourceExhausted
	}
	return gcerrors.Internal
}
