// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * CHAP's secrets and hashes: the engine asks for a digest, this answers.
 *
 * The secrets are keys of the kernel's keyring, found when the session is made, with the rights and
 * the keyrings of who makes it, and held as long as the session lives: a re-login needs nobody. The
 * hashes are allocated then, too; one that this kernel has not (FIPS: MD5) is not offered. After
 * that nothing here allocates or waits.
 */
#include <crypto/algapi.h>
#include <crypto/hash.h>
#include <keys/user-type.h>
#include <linux/err.h>
#include <linux/key.h>
#include <linux/random.h>
#include <linux/slab.h>

#include "glue.h"

#define CHAP_ALGORITHMS 4 /* from HAWSER_CHAP_MD5 on */

struct glue_chap {
	struct key *key; /* ours */
	struct key *key_in; /* the target's, or NULL */
	struct crypto_shash *hashes[CHAP_ALGORITHMS];
};

static const char *const chap_hash_names[CHAP_ALGORITHMS] = { "md5", "sha1", "sha256", "sha3-256" };

/* Under rcu_read_lock(). NULL: the key was revoked. */
static const struct user_key_payload *chap_payload(struct key *key)
{
	return key ? user_key_payload_rcu(key) : NULL;
}

static struct key *chap_find_key(const char *option, const char *description, char *reason)
{
	const struct user_key_payload *payload;
	struct key *key;
	u32 length = 0;

	/* Not upcalled for: what is not there is a mistake of who asks. */
	key = request_key(&key_type_logon, description, NULL);
	if (IS_ERR(key))
		key = request_key(&key_type_user, description, NULL);
	if (IS_ERR(key)) {
		snprintf(reason, HAWSER_REASON_BYTES,
			 "%s=%s: no logon or user key of this name in the caller's keyrings (%pe)",
			 option, description, key);
		return key;
	}
	rcu_read_lock();
	payload = chap_payload(key);
	if (payload)
		length = payload->datalen;
	rcu_read_unlock();
	if (length && length <= HAWSER_CHAP_SECRET_BYTES)
		return key;
	snprintf(reason, HAWSER_REASON_BYTES, "%s=%s: a secret of 1 to %u bytes is needed", option,
		 description, HAWSER_CHAP_SECRET_BYTES);
	key_put(key);
	return ERR_PTR(-EINVAL);
}

/* RFC 7143 9.2.1: a secret that serves both directions can be had by reflection. */
static bool chap_same_secret(struct glue_chap *chap)
{
	const struct user_key_payload *ours, *theirs;
	bool same;

	rcu_read_lock();
	ours = chap_payload(chap->key);
	theirs = chap_payload(chap->key_in);
	same = ours && theirs && ours->datalen == theirs->datalen &&
	       !crypto_memneq(ours->data, theirs->data, ours->datalen);
	rcu_read_unlock();
	return same;
}

static int chap_find_keys(struct glue_chap *chap, const struct hawser_options *options,
			  char *reason)
{
	struct key *key;

	key = chap_find_key("chap_key", options->chap_key, reason);
	if (IS_ERR(key))
		return PTR_ERR(key);
	chap->key = key;
	if (!options->chap_key_in[0])
		return 0;
	key = chap_find_key("chap_key_in", options->chap_key_in, reason);
	if (IS_ERR(key))
		return PTR_ERR(key);
	chap->key_in = key;
	if (!chap_same_secret(chap))
		return 0;
	snprintf(reason, HAWSER_REASON_BYTES,
		 "chap_key_in=%s: the same secret as chap_key=: each direction needs its own",
		 options->chap_key_in);
	return -EINVAL;
}

/* What this kernel has not is not offered. */
static int chap_find_hashes(struct glue_chap *chap, struct hawser_options *options, char *reason)
{
	int i;

	for (i = 0; i < CHAP_ALGORITHMS; i++) {
		struct crypto_shash *hash;

		if (!(options->chap_algorithms & BIT(i)))
			continue;
		hash = crypto_alloc_shash(chap_hash_names[i], 0, 0);
		if (IS_ERR(hash))
			options->chap_algorithms &= ~BIT(i);
		else
			chap->hashes[i] = hash;
	}
	if (options->chap_algorithms)
		return 0;
	snprintf(reason, HAWSER_REASON_BYTES,
		 "chap_algs: this kernel has none of the hash functions that may be offered");
	return -EOPNOTSUPP;
}

/* Before the engine is made: session->options says afterwards what may be offered. */
int glue_chap_create(struct glue_session *session, char *reason)
{
	struct glue_chap *chap;
	int err;

	if (!session->options.chap_name[0])
		return 0;
	chap = kzalloc(sizeof(*chap), GFP_KERNEL);
	if (!chap)
		return -ENOMEM;
	session->chap = chap;
	err = chap_find_keys(chap, &session->options, reason);
	if (!err)
		err = chap_find_hashes(chap, &session->options, reason);
	return err;
}

void glue_chap_destroy(struct glue_session *session)
{
	struct glue_chap *chap = session->chap;
	int i;

	if (!chap)
		return;
	for (i = 0; i < CHAP_ALGORITHMS; i++) {
		if (chap->hashes[i])
			crypto_free_shash(chap->hashes[i]);
	}
	key_put(chap->key);
	key_put(chap->key_in);
	session->chap = NULL;
	kfree(chap);
}

/* H(identifier secret challenge), RFC 1994 4.1. Under rcu_read_lock(). */
static int chap_digest(struct crypto_shash *hash, const struct user_key_payload *secret,
		       const struct hawser_chap_request *request, u8 *digest)
{
	SHASH_DESC_ON_STACK(desc, hash);
	int err;

	desc->tfm = hash;
	err = crypto_shash_init(desc);
	if (!err)
		err = crypto_shash_update(desc, &request->identifier, 1);
	if (!err)
		err = crypto_shash_update(desc, secret->data, secret->datalen);
	if (!err)
		err = crypto_shash_finup(desc, request->challenge, request->challenge_length,
					 digest);
	shash_desc_zero(desc);
	return err;
}

/* Answers what the engine asks for, if it asks. The I/O thread, without the socket's lock. */
u32 glue_chap_answer(struct glue_connection *connection, u64 now_ms)
{
	struct glue_chap *chap = connection->session->chap;
	struct hawser_chap_answer answer = {};
	const struct user_key_payload *secret;
	struct hawser_chap_request request;
	struct crypto_shash *hash;
	u32 wants;

	if (!hawser_connection_poll_chap(connection->engine, &request) || WARN_ON_ONCE(!chap))
		return 0;
	hash = chap->hashes[(request.algorithm - HAWSER_CHAP_MD5) % CHAP_ALGORITHMS];
	rcu_read_lock();
	secret = chap_payload(request.secret == HAWSER_CHAP_OURS ? chap->key : chap->key_in);
	if (secret && hash && crypto_shash_digestsize(hash) <= sizeof(answer.digest) &&
	    !chap_digest(hash, secret, &request, answer.digest))
		answer.digest_length = crypto_shash_digestsize(hash);
	rcu_read_unlock();
	get_random_bytes(answer.random, sizeof(answer.random));
	wants = hawser_connection_handle_chap(connection->engine, &answer, now_ms);
	memzero_explicit(&answer, sizeof(answer));
	return wants;
}
