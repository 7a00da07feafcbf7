"""Facts about activities, responses and notifications: what was done, who was told, and whose team it is."""

from __future__ import annotations

from agents.coordination.rules.facts.context import Scene, Value, event_says, fact


@fact
def code(scene: Scene) -> Value:
    """Code of the activity, observation or condition."""
    said: Value = event_says(scene, "code")
    return said


@fact
def outcome(scene: Scene) -> Value:
    """Outcome of the activity, completion or outreach (reached, no-answer, voicemail, refused)."""
    return event_says(scene, "outcome") or None


@fact
def performer_role(scene: Scene) -> Value:
    """Role of whoever gave the care or responded."""
    party = event_says(scene, "performer") or event_says(scene, "by")
    return getattr(party, "role", None)


@fact
def notice(scene: Scene) -> Value:
    """Id of the routing row that told somebody (NTF-ADMIT ...)."""
    if scene.notice is not None:
        return scene.notice.rule
    if scene.handoff is not None and isinstance(scene.handoff.ref, bytes):
        return scene.world.notice_of(scene.person, scene.handoff)
    return None


@fact
def asks_acknowledgement(scene: Scene) -> Value:
    """Whether the notification asks its recipient to acknowledge."""
    return scene.notice.asks_acknowledgement if scene.notice else None


@fact
def role(scene: Scene) -> Value:
    """Role of the recipient."""
    if scene.notice is not None:
        return scene.notice.role
    return (event_says(scene, "recipient") or "").partition("/")[0] or None


@fact
def somebody_told(scene: Scene) -> Value:
    """Whether somebody was told of this very event; where the person withheld that, nobody was."""
    stay = scene.stay.number if scene.stay is not None else 0
    return any(told.at == scene.at and told.stay == stay for told in scene.person.told)


@fact
def recipient_known(scene: Scene) -> Value:
    """False where only the fallback pool could be told."""
    if scene.notice is None:
        return None
    return not scene.notice.recipient.endswith(f"/{scene.world.directory.fallback_pool}")


@fact
def programme(scene: Scene) -> Value:
    """Programmes that the care team names for the person."""
    return tuple(sorted({seat.programme for seat in scene.person.seats if seat.programme}))


@fact
def team_known(scene: Scene) -> Value:
    """Whether anybody is named as caring for the person."""
    return any(not seat.to or seat.to > scene.at for seat in scene.person.seats)


@fact
def overdue(scene: Scene) -> Value:
    """Whether the handoff's clock has ended."""
    return scene.handoff is not None and scene.at >= scene.handoff.due
