"""How an event changes the state of a person: the encounter, the referral, the goal and so on."""
