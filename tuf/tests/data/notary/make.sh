#!/bin/sh
# Makes the metadata in this directory anew with the real notary and notary-server. Run by hand; the tests read what it left.
set -eu

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
work=$(mktemp -d)
server_pid=
trap 'test -z "$server_pid" || kill "$server_pid"; rm -rf "$work"' EXIT
cd "$work"

export NOTARY_ROOT_PASSPHRASE=rootrootroot NOTARY_TARGETS_PASSPHRASE=targetstargets
export NOTARY_SNAPSHOT_PASSPHRASE=snapsnapsnap NOTARY_DELEGATION_PASSPHRASE=delegationdeleg
# the client writes expiry times in its own time zone
export TZ=Europe/Berlin
gun=example.com/acme/app
server=https://localhost:34871

ec_key() { openssl ecparam -name "$1" -genkey -noout -out "$2.pem" && openssl ec -in "$2.pem" -pubout -out "$2.pub"; }
certificate() { openssl req -x509 -new -key "$1.pem" -sha256 -days 3650 -subj /CN=maintainer -out "$1.crt"; }
{
    ec_key prime256v1 ca
    openssl req -x509 -new -key ca.pem -sha256 -days 30 -subj /CN=throw-away-ca -out ca.crt
    ec_key prime256v1 server
    openssl req -new -key server.pem -subj /CN=localhost -out server.csr
    printf 'subjectAltName=DNS:localhost,IP:127.0.0.1\n' >server.ext
    openssl x509 -req -in server.csr -CA ca.crt -CAkey ca.pem -CAcreateserial -days 30 -extfile server.ext -out server.crt
    ec_key prime256v1 p256
    ec_key secp384r1 p384
    ec_key secp521r1 p521
    openssl genrsa -traditional -out rsa.pem 2048 && openssl rsa -in rsa.pem -pubout -out rsa.pub
    ec_key prime256v1 ecx && certificate ecx
    openssl genrsa -traditional -out rsax.pem 3072 && certificate rsax
    openssl genrsa -traditional -aes256 -passout pass:rootrootroot -out root-rsa.pem 2048
} 2>openssl.log

cat >server.json <<J
{"server":{"http_addr":"127.0.0.1:34871","tls_cert_file":"./server.crt","tls_key_file":"./server.pem"},
 "trust_service":{"type":"local"},"logging":{"level":"error"},"storage":{"backend":"memory"}}
J
notary-server -config server.json >server.log 2>&1 &
server_pid=$!
until curl -sf --cacert ca.crt "$server/_notary_server/health" >/dev/null; do :; done

notary_() { notary -s "$server" -d trust --tlscacert ca.crt "$@"; }
fetch() { mkdir -p "$(dirname "$here/$2")" && curl -sf --cacert ca.crt "$server/v2/$gun/_trust/tuf/$1" -o "$here/$2"; }

printf hello >hello
printf '' >empty
printf '{"a":[1,-2,true,null],"b":{"c":"\\"\\\\ é漢"}}' >custom.json
notary_ init $gun
notary_ add $gun '< > & " \ é 漢 x' hello
notary_ add $gun 'with custom' hello --custom custom.json
notary_ add $gun plain/1.0 empty
notary_ add $gun "$(printf 'line\342\200\250sep\342\200\251')" hello
notary_ publish $gun
for role in targets snapshot timestamp; do fetch $role.json first/$role.json; done

for key in p256 p384 p521 rsa; do
    notary_ delegation add $gun targets/$key $key.pub --all-paths
done
notary_ delegation add $gun targets/ecx ecx.crt --paths 'a & <b>/' --paths ecx/
notary_ delegation add $gun targets/rsax rsax.crt --all-paths
for key in p256 p384 p521 rsa ecx rsax; do notary_ key import $key.pem -r targets/$key; done
notary_ publish $gun
for key in p256 p384 p521 rsa ecx rsax; do notary_ add $gun ecx/$key hello -r targets/$key; done
notary_ publish $gun
notary_ delegation add $gun targets/p384/nested p256.pub --paths ecx/
notary_ publish $gun
notary_ add $gun ecx/nested hello -r targets/p384/nested
notary_ publish $gun
for role in targets snapshot timestamp; do fetch $role.json delegated/$role.json; done
for key in p256 p384 p521 rsa ecx rsax p384/nested; do fetch targets/$key.json delegated/targets/$key.json; done
notary_ delegation list $gun >"$here/delegation-list.txt"

# the server takes the snapshot over, then two new root keys: P-256, RSA
notary_ key rotate $gun snapshot -r
echo yes | notary_ key rotate $gun root
echo yes | notary_ key rotate $gun root -k root-rsa.pem
notary_ add $gun after hello
notary_ publish $gun
for role in targets snapshot timestamp; do fetch $role.json rotated/$role.json; done
for version in 1 2 3 4; do fetch $version.root.json root/$version.json; done
notary_ key list | sed 's| */tmp/.*||' >"$here/key-list.txt"
