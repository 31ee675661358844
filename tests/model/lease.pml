/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Leases, their end, takeover, and the fence, for any order of events.
 *
 * PRODUCERS take the one lease, compute for as long as they like, and publish with
 * the token that they got. Time may end the lease at any moment, and then another
 * takes it, while the first does not know. A publish has three steps, as in the
 * daemon: begin compares the token and pins the lease, the value becomes current,
 * end unpins and releases. A producer may die before any step, which ends its
 * pin as the daemon's death or the close of its descriptor does; the lease of one
 * that died stays until it ends.
 *
 * Checked:
 *  - the tokens under which values become current never go back (a result that
 *    came too late never replaces a newer one);
 *  - the lease has one holder, and who is publishing has it;
 *  - no deadlock: from every state somebody can go on, or all are done.
 *
 * With -DNO_FENCE begin compares nothing and pins nothing, as a lock service
 * without a token does. Then the first fails: A takes the lease and computes, time
 * ends it, B takes it and publishes, and A, late, publishes over B's result. With
 * -DNO_PIN begin compares but does not pin: the same happens between the
 * comparison and the publish. lease.sh checks that both are found.
 */
#define PRODUCERS 3
#define TRIES 2 /* of each producer */

#define FREE 0

byte token = 0;	    /* the last that was given out */
byte holder = FREE; /* the token of who has the lease */
byte pins = 0;	    /* publishes of the holder under way */
bool ended = false; /* its time is up */
byte current = 0;   /* the token under which the value was published */
byte done = 0;

active proctype clock()
{
	do
	:: atomic { holder != FREE && !ended -> ended = true }
	:: done == PRODUCERS -> break
	od
}

inline acquire(mine)
{
	/* store_lease_acquire(): free, or ended and nobody is publishing. */
	atomic {
		holder == FREE || (ended && pins == 0);
		token++;
		mine = token;
		holder = mine;
		ended = false
	}
}

inline begin_publish(mine, may)
{
#ifdef NO_FENCE
	may = true
#else
	atomic {
		/* Not ended, or ended while it is pinned: see lease_live(). */
		if
		:: holder == mine && (!ended || pins > 0) ->
			may = true;
#ifndef NO_PIN
			pins++
#endif
		:: else -> may = false
		fi
	}
#endif
}

inline publish(mine)
{
	atomic {
#if !defined(NO_FENCE) && !defined(NO_PIN)
		assert(holder == mine);
#endif
		assert(current <= mine);
		current = mine
	}
}

inline end_publish(mine, release)
{
	atomic {
#if !defined(NO_FENCE) && !defined(NO_PIN)
		assert(holder == mine && pins > 0);
		pins--;
#endif
		if
		:: release && holder == mine -> holder = FREE; ended = false
		:: else -> skip
		fi
	}
}

active [PRODUCERS] proctype producer()
{
	byte mine, tries = 0;
	bool may;

	do
	:: tries < TRIES ->
		tries++;
		acquire(mine);
		/* Here it computes. */
		if
		:: skip -> /* it dies */
			mine = 0
		:: skip -> /* it gives up: a release that is late does nothing */
			atomic {
				if
				:: holder == mine && !ended ->
					holder = FREE
				:: else -> skip
				fi
			}
		:: skip ->
			begin_publish(mine, may);
			if
			:: may ->
				if
				:: publish(mine);
				   end_publish(mine, true)
				:: end_publish(mine, false) /* the publish failed */
				fi
			:: else -> skip /* ESTALE: nothing was changed */
			fi;
			mine = 0
		fi
	:: tries == TRIES -> break
	od;
	done++
}
