package main

import (
	"cmp"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"shoal/ledger/badger"
	"shoal/p2p/admit"
	"shoal/wire"
)

// A stateDir is where a peer keeps what it must not lose:
//
//	root.key       seed of the swarm's root key, on the machine that made the swarm
//	peer.key       seed of this peer's key
//	certificate    its membership; certificate.left or certificate.removed once that is over
//	founding       stands from the creation of the swarm until this peer was ready
//	peer.yaml      what its owner keeps and grants, if anything: written by people
//	settings.json  what was said at the last `up`, for those that say nothing
//	peers.json     where members were last met
//	tickets.json   uses of its tickets that admit a number of machines
//	store/         the ledger
//	process/       containers of the process driver
//	log, log.1     what a detached daemon prints
type stateDir string

func (d stateDir) path(name string) string { return filepath.Join(string(d), name) }

// stateAt is the directory that a flag names, the environment, or nobody.
func stateAt(flag string) (stateDir, error) {
	dir, err := filepath.Abs(cmp.Or(flag, os.Getenv("SHOAL_STATE"), defaultState()))
	return stateDir(dir), err
}

func defaultState() string {
	if os.Geteuid() == 0 {
		return "/var/lib/shoal"
	}
	if home, err := os.UserHomeDir(); err == nil {
		return filepath.Join(home, ".local", "share", "shoal")
	}
	return "shoal-state"
}

// An identity is who this peer is. Without a certificate it is no member yet.
type identity struct {
	key    ed25519.PrivateKey
	cert   admit.Certificate // while member, or past is set
	member bool
	past   past // how its membership ended
}

// A past says how a membership ended. Its value is the end of the file's name that
// keeps the certificate: the ledger beside it is of that swarm, and of no other.
type past string

const (
	hasLeft    past = "left"
	wasRemoved past = "removed"
)

// noMember is why this machine is no member any more; nil if it never was, or is.
func (i *identity) noMember() error {
	switch {
	case i == nil:
	case i.past == hasLeft:
		return fmt.Errorf("this peer left swarm %s: join again with a ticket (`shoal ticket` on a member), or use another --state", i.cert.Swarm.Short())
	case i.past == wasRemoved:
		return fmt.Errorf("this peer was removed from swarm %s by its members: `shoal leave --purge` clears it", i.cert.Swarm.Short())
	}
	return nil
}

func (i *identity) peer() wire.PeerID { return wire.Key(i.key).Peer() }

// load reads the identity; nil if there is none.
func (d stateDir) load() (*identity, error) {
	key, err := d.readKey("peer.key")
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, d.cannot(err)
	}
	id := &identity{key: key}
	for _, past := range []past{"", hasLeft, wasRemoved} {
		ok, err := d.readCertificate(id, past)
		if ok || err != nil {
			return id, err
		}
	}
	return id, nil
}

// certificateFile is the name of the certificate of a membership, or of a past one.
func certificateFile(p past) string {
	if p == "" {
		return "certificate"
	}
	return "certificate." + string(p)
}

// readCertificate reports whether there is one.
func (d stateDir) readCertificate(id *identity, p past) (bool, error) {
	name := certificateFile(p)
	text, err := os.ReadFile(d.path(name))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, d.cannot(err)
	}
	b, err := base64.StdEncoding.DecodeString(strings.TrimSpace(string(text)))
	if err == nil {
		id.cert, err = admit.DecodeCertificate(b)
	}
	if err != nil {
		return false, fmt.Errorf("%s is damaged: %w; restore it, or join anew with a ticket and another --state", d.path(name), err)
	}
	id.member, id.past = p == "", p
	return true, nil
}

// retire ends the membership that this directory stands for.
func (d stateDir) retire(p past) error {
	if err := os.Rename(d.path(certificateFile("")), d.path(certificateFile(p))); err != nil {
		return d.cannot(err)
	}
	return d.sync()
}

// purge deletes the directory unless a daemon has it open.
func (d stateDir) purge() error {
	store, err := badger.Open(d.path("store"), badger.Options{})
	if err != nil {
		return err
	}
	if err := store.Close(); err != nil {
		return err
	}
	if err := os.RemoveAll(string(d)); err != nil {
		return d.cannot(err)
	}
	return nil
}

func (d stateDir) readKey(name string) (ed25519.PrivateKey, error) {
	text, err := os.ReadFile(d.path(name))
	if err != nil {
		return nil, err
	}
	seed, err := base64.StdEncoding.DecodeString(strings.TrimSpace(string(text)))
	if err != nil || len(seed) != ed25519.SeedSize {
		return nil, fmt.Errorf("%s is damaged: want %d bytes in base64", d.path(name), ed25519.SeedSize)
	}
	return ed25519.NewKeyFromSeed(seed), nil
}

// newKey draws a key and keeps it.
func (d stateDir) newKey(name string) (ed25519.PrivateKey, error) {
	seed := make([]byte, ed25519.SeedSize)
	_, _ = rand.Read(seed) // it does not fail
	key := ed25519.NewKeyFromSeed(seed)
	return key, d.writeKey(name, key)
}

// writeKey keeps a key's seed.
func (d stateDir) writeKey(name string, key ed25519.PrivateKey) error {
	return d.write(name, []byte(base64.StdEncoding.EncodeToString(key.Seed())+"\n"))
}

// ensureKey returns the identity with a key, drawn if there is none. It is kept
// before a ticket is shown: who asks again with the same key uses the ticket once.
func (d stateDir) ensureKey(id *identity) (*identity, error) {
	if id != nil {
		return id, nil
	}
	key, err := d.newKey("peer.key")
	return &identity{key: key}, err
}

// found makes a swarm: its root key, and this peer as its first member.
func (d stateDir) found(id *identity) error {
	root, err := d.readKey("root.key")
	if errors.Is(err, fs.ErrNotExist) {
		root, err = d.newKey("root.key")
	}
	if err != nil {
		return err
	}
	if err := d.write("founding", nil); err != nil {
		return err
	}
	if id.cert, err = (admit.Signer{Key: root}).Issue(id.peer(), admit.All, zeroTime); err != nil {
		return err
	}
	return d.join(id)
}

// join keeps the certificate: from now on the peer is a member.
func (d stateDir) join(id *identity) error {
	id.member, id.past = true, ""
	if err := d.write(certificateFile(""), []byte(base64.StdEncoding.EncodeToString(id.cert.Encode())+"\n")); err != nil {
		return err
	}
	if err := os.Remove(d.path(certificateFile(hasLeft))); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

func (d stateDir) has(name string) bool {
	_, err := os.Stat(d.path(name))
	return err == nil
}

// make creates the directory and sees whether it can be written.
func (d stateDir) make() error {
	if err := os.MkdirAll(string(d), 0o700); err != nil {
		return d.cannot(err)
	}
	probe, err := os.CreateTemp(string(d), ".probe-*")
	if err != nil {
		return d.cannot(err)
	}
	_ = probe.Close()
	return os.Remove(probe.Name())
}

func (d stateDir) cannot(err error) error {
	var path *fs.PathError
	if errors.As(err, &path) {
		err = path.Err
	}
	return fmt.Errorf("state directory %s cannot be used: %w; choose another with --state, or run this as its owner", d, err)
}

// write replaces a file as a whole, readable by its owner alone, and syncs it.
func (d stateDir) write(name string, b []byte) error {
	tmp, err := os.CreateTemp(string(d), "."+name+"-*") // with mode 0600
	if err != nil {
		return d.cannot(err)
	}
	defer os.Remove(tmp.Name())
	_, err = tmp.Write(b)
	if err == nil {
		err = tmp.Sync()
	}
	if closeErr := tmp.Close(); err == nil {
		err = closeErr
	}
	if err == nil {
		err = os.Rename(tmp.Name(), d.path(name))
	}
	if err != nil {
		return d.cannot(err)
	}
	return d.sync()
}

// sync makes the names of new files survive a power cut.
func (d stateDir) sync() error {
	dir, err := os.Open(string(d))
	if err != nil {
		return d.cannot(err)
	}
	defer dir.Close()
	return dir.Sync()
}

// settings are what was said at the last `up`.
type settings struct {
	Name       string            `json:"name,omitempty"`
	Datacenter string            `json:"datacenter,omitempty"`
	Labels     map[string]string `json:"labels,omitempty"`
	Profile    string            `json:"profile,omitempty"`
	Port       int               `json:"port,omitempty"`
	Listen     []string          `json:"listen,omitempty"`
	Bootstrap  []string          `json:"bootstrap,omitempty"`
	Driver     string            `json:"driver,omitempty"`
	DockerHost string            `json:"dockerHost,omitempty"`
	NoMDNS     bool              `json:"noMdns,omitempty"`
	NoRelay    bool              `json:"noRelay,omitempty"`
	Config     string            `json:"config,omitempty"`
}

func (d stateDir) loadSettings() (settings, error) {
	var s settings
	b, err := os.ReadFile(d.path("settings.json"))
	if errors.Is(err, fs.ErrNotExist) {
		return s, nil
	}
	if err != nil {
		return s, d.cannot(err)
	}
	if err := json.Unmarshal(b, &s); err != nil {
		return settings{}, fmt.Errorf("%w: %s: %w", errDamagedSettings, d.path("settings.json"), err)
	}
	return s, nil
}

var errDamagedSettings = errors.New("damaged settings")

// damagedSettings is where settings that cannot be read are set aside.
const damagedSettings = "settings.json.damaged"

// recallSettings loads what was said at the last `up`. Settings that are damaged, as by a
// power cut, keep no peer from starting: they are set aside, and it goes on with none.
func (d stateDir) recallSettings() (settings, error) {
	s, err := d.loadSettings()
	if errors.Is(err, errDamagedSettings) {
		err = os.Rename(d.path("settings.json"), d.path(damagedSettings))
	}
	return s, err
}

// setAside says that earlier settings were damaged; "" if they were not, or whoever
// looked at them has deleted them since.
func (d stateDir) setAside() string {
	if _, err := os.Stat(d.path(damagedSettings)); err != nil {
		return ""
	}
	return fmt.Sprintf("the settings of an earlier `shoal up` could not be read and are set aside in %s", d.path(damagedSettings))
}

func (d stateDir) saveSettings(s settings) error {
	b, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return err
	}
	return d.write("settings.json", append(b, '\n'))
}
