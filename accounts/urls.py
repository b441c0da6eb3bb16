"""Pages of people, organizations and keys."""

from django.urls import path

from accounts.views import front, impersonation, invitations, keys, people, team, teams

urlpatterns = [
    path("", front.home, name="home"),
    path("switch/", front.switch_organization, name="switch_organization"),
    path("preferences/theme/", front.set_theme, name="set_theme"),
    path("impersonation/end/", impersonation.end, name="impersonation_end"),
    path("profile/", people.profile, name="profile"),
    path("organization/", people.organization_settings, name="organization_settings"),
    path("team/", team.team, name="team"),
    path("team/invite/", team.invite, name="team_invite"),
    path("team/leave/", team.leave, name="team_leave"),
    path("team/invitations/<uuid:invitation_id>/resend/", team.resend, name="invitation_resend"),
    path("team/invitations/<uuid:invitation_id>/revoke/", team.revoke, name="invitation_revoke"),
    path("team/members/<uuid:membership_id>/", team.member, name="member"),
    path("team/members/<uuid:membership_id>/remove/", team.remove, name="member_remove"),
    path("team/members/<uuid:membership_id>/make-owner/", team.pass_on, name="member_make_owner"),
    path("teams/", teams.teams, name="teams"),
    path("teams/new/", teams.new_team, name="team_new"),
    path("teams/<uuid:team_id>/settings/", teams.team_settings, name="team_settings"),
    path("teams/<uuid:team_id>/put-away/", teams.put_team_away, name="team_put_away"),
    path("invitations/<str:token>/", invitations.invitation, name="invitation"),
    path("keys/", keys.api_keys, name="api_keys"),
    path("keys/new/", keys.new_api_key, name="api_key_new"),
    path("keys/<uuid:key_id>/", keys.change_key, name="api_key"),
    path("keys/<uuid:key_id>/revoke/", keys.revoke_key, name="api_key_revoke"),
    path("keys/<uuid:key_id>/rotate/", keys.rotate_key, name="api_key_rotate"),
]
