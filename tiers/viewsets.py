"""REST API of tiers."""

from drf_spectacular.utils import extend_schema
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from tiers.models import Tier
from tiers.serializers import ComparisonSerializer


class CompareView(APIView):
    """What is on offer; public."""

    authentication_classes = []
    permission_classes = [AllowAny]

    @extend_schema(operation_id="tiers_compare", responses=ComparisonSerializer)
    def get(self, request: Request) -> Response:
        """Every public tier with its price, markup, models and limits."""
        return Response(ComparisonSerializer({"data": Tier.objects.offered()}).data)
